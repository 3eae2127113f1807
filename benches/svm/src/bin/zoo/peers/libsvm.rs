//! libSVM's `svm_train`, by the types of its svm.h.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use upbeat_svm::Kernel;

use super::{END, EPSILON, Node, classes, nodes, numbered, open, silent, text};
use crate::data::Data;
use crate::objective::{Decision, Task, squared, value};

#[repr(C)]
struct Problem {
    rows: c_int,
    labels: *const f64,
    x: *const *const Node,
}

#[repr(C)]
struct Parameter {
    svm_type: c_int,
    kernel_type: c_int,
    degree: c_int,
    gamma: f64,
    coef0: f64,
    cache_mib: f64,
    epsilon: f64,
    c: f64,
    weights: c_int,
    weight_label: *mut c_int,
    weight: *mut f64,
    nu: f64,
    p: f64,
    shrinking: c_int,
    probability: c_int,
}

/// The fields up to what is read; later versions add others behind.
#[repr(C)]
struct Model {
    parameter: Parameter,
    classes: c_int,
    vectors: c_int,
    sv: *mut *mut Node,
    coefficients: *mut *mut f64,
    rho: *mut f64,
}

type Train = unsafe extern "C" fn(*const Problem, *const Parameter) -> *mut Model;
type Free = unsafe extern "C" fn(*mut *mut Model);
type Check = unsafe extern "C" fn(*const Problem, *const Parameter) -> *const c_char;
type Indices = unsafe extern "C" fn(*const Model, *mut c_int);
type SetPrint = unsafe extern "C" fn(*const c_void);

const NAMES: [&str; 2] = ["libsvm.so.3", "libsvm.so"];

pub fn version() -> Result<i32, String> {
    // SAFETY: the symbol is an int of svm.h.
    unsafe { Ok(**open(NAMES, "libsvm3")?.get::<*const c_int>(b"libsvm_version").map_err(text)?) }
}

/// C-SVC with `svm-train`'s defaults but for the task; `ridged` for the squared hinge by a precomputed kernel.
pub fn train(
    data: &Data,
    task: &Task,
    ridged: bool,
    timed: &mut dyn FnMut(&mut dyn FnMut()),
) -> Result<Decision, String> {
    let labels = classes(data);
    let x = if ridged { precomputed(data, task) } else { nodes(data, None) };
    let pointers: Vec<*const Node> = x.iter().map(|row| row.as_ptr()).collect();
    let problem = Problem { rows: labels.len() as c_int, labels: labels.as_ptr(), x: pointers.as_ptr() };
    let (kernel_type, gamma, coef0, degree) = if ridged { (4, 0.0, 0.0, 0) } else { numbered(task.kernel) };
    let parameter = Parameter {
        svm_type: 0,
        kernel_type,
        degree,
        gamma,
        coef0,
        cache_mib: 100.0,
        epsilon: EPSILON,
        c: if ridged { 1e30 } else { task.c },
        weights: 0,
        weight_label: null_mut(),
        weight: null_mut(),
        nu: 0.5,
        p: 0.1,
        shrinking: 1,
        probability: 0,
    };
    let library = open(NAMES, "libsvm3")?;
    // SAFETY: the types are those of svm.h; the rows end with index -1 and outlive the model.
    unsafe {
        let train = *library.get::<Train>(b"svm_train").map_err(text)?;
        let free = *library.get::<Free>(b"svm_free_and_destroy_model").map_err(text)?;
        let check = *library.get::<Check>(b"svm_check_parameter").map_err(text)?;
        let indices = *library.get::<Indices>(b"svm_get_sv_indices").map_err(text)?;
        let print = *library.get::<SetPrint>(b"svm_set_print_string_function").map_err(text)?;
        print(silent as *const c_void);
        if !check(&problem, &parameter).is_null() {
            return Err("libSVM refuses the parameters".to_owned());
        }
        let mut model: *mut Model = null_mut();
        timed(&mut || {
            if !model.is_null() {
                free(&mut model);
            }
            model = train(&problem, &parameter);
        });
        let count = (*model).vectors as usize;
        let mut rows = vec![0; count];
        indices(model, rows.as_mut_ptr());
        // Of the labels 1 and -1, 1 counts as positive whichever comes first.
        let coefficients = std::slice::from_raw_parts(*(*model).coefficients, count);
        let coefficients = coefficients.to_vec();
        let bias = -*(*model).rho;
        free(&mut model);
        let vectors: Vec<_> = rows.iter().map(|&row| data.rows[row as usize - 1].clone()).collect();
        if task.kernel != Kernel::Linear {
            return Ok(Decision::Expansion { vectors, coefficients, bias });
        }
        let mut weights = vec![0.0; data.columns];
        for (row, coefficient) in vectors.iter().zip(&coefficients) {
            row.iter().for_each(|&(column, value)| weights[column] += coefficient * value);
        }
        let multipliers = Some(coefficients.iter().map(|value: &f64| value.abs()).sum());
        Ok(Decision::Linear { weights, bias, multipliers })
    }
}

/// Rows of the kernel K + I/(2C), each with its own number in front, as libSVM takes them.
fn precomputed(data: &Data, task: &Task) -> Vec<Vec<Node>> {
    let norms: Vec<f64> = data.rows.iter().map(squared).collect();
    let row = |i: usize| {
        let values = (0..data.rows.len()).map(|j| {
            let ridge = if i == j { 0.5 / task.c } else { 0.0 };
            let kernel = value(task.kernel, &data.rows[i], norms[i], &data.rows[j], norms[j]);
            Node { index: j as c_int + 1, value: kernel + ridge }
        });
        let serial = Node { index: 0, value: (i + 1) as f64 };
        [serial].into_iter().chain(values).chain([END]).collect()
    };
    (0..data.rows.len()).map(row).collect()
}
