//! LIBLINEAR's `train`, by the types of its linear.h.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use super::{EPSILON, Node, classes, nodes, open, silent, text};
use crate::data::Data;
use crate::objective::{Decision, Task};

#[repr(C)]
struct Problem {
    rows: c_int,
    columns: c_int,
    labels: *const f64,
    x: *const *const Node,
    bias: f64,
}

/// Version 2.3 ends with `p` and one pointer; 2.4 has `nu`, a pointer and whether the bias is regularised.
#[repr(C)]
struct Parameter {
    solver: c_int,
    epsilon: f64,
    c: f64,
    weights: c_int,
    weight_label: *mut c_int,
    weight: *mut f64,
    p: f64,
    nothing: [usize; 2],
    regularise_bias: c_int,
}

type Model = c_void;
type Train = unsafe extern "C" fn(*const Problem, *const Parameter) -> *mut Model;
type Free = unsafe extern "C" fn(*mut *mut Model);
type Check = unsafe extern "C" fn(*const Problem, *const Parameter) -> *const c_char;
type Coefficient = unsafe extern "C" fn(*const Model, c_int, c_int) -> f64;
type SetPrint = unsafe extern "C" fn(*const c_void);

const NAMES: [&str; 2] = ["liblinear.so.4", "liblinear.so"];

pub fn version() -> Result<i32, String> {
    // SAFETY: the symbol is an int of linear.h.
    unsafe { Ok(**open(NAMES, "liblinear4")?.get::<*const c_int>(b"liblinear_version").map_err(text)?) }
}

/// With `-B 1`: a last feature of 1 whose weight is the bias.
pub fn train(
    solver: c_int,
    data: &Data,
    task: &Task,
    timed: &mut dyn FnMut(&mut dyn FnMut()),
) -> Result<Decision, String> {
    let labels = classes(data);
    let columns = data.columns as c_int + 1;
    let x = nodes(data, Some(Node { index: columns, value: 1.0 }));
    let pointers: Vec<*const Node> = x.iter().map(|row| row.as_ptr()).collect();
    let rows = labels.len() as c_int;
    let problem = Problem { rows, columns, labels: labels.as_ptr(), x: pointers.as_ptr(), bias: 1.0 };
    let parameter = Parameter {
        solver,
        epsilon: EPSILON,
        c: task.c,
        weights: 0,
        weight_label: null_mut(),
        weight: null_mut(),
        p: 0.1,
        nothing: [0; 2],
        regularise_bias: 1,
    };
    let library = open(NAMES, "liblinear4")?;
    // SAFETY: the types are those of linear.h; the rows end with index -1 and outlive the call.
    unsafe {
        let train = *library.get::<Train>(b"train").map_err(text)?;
        let free = *library.get::<Free>(b"free_and_destroy_model").map_err(text)?;
        let check = *library.get::<Check>(b"check_parameter").map_err(text)?;
        let coefficient = *library.get::<Coefficient>(b"get_decfun_coef").map_err(text)?;
        let print = *library.get::<SetPrint>(b"set_print_string_function").map_err(text)?;
        print(silent as *const c_void);
        if !check(&problem, &parameter).is_null() {
            return Err("LIBLINEAR refuses the parameters".to_owned());
        }
        let mut model: *mut Model = null_mut();
        timed(&mut || {
            if !model.is_null() {
                free(&mut model);
            }
            model = train(&problem, &parameter);
        });
        let bias = library.get::<unsafe extern "C" fn(*const Model, c_int) -> f64>(b"get_decfun_bias");
        let bias = bias.map_err(text)?(model, 0);
        let weights = (1..columns).map(|column| coefficient(model, column, 0)).collect();
        free(&mut model);
        // With labels 1 and -1, its first class is 1.
        Ok(Decision::Linear { weights, bias, multipliers: None })
    }
}
