//! libSVM's own prediction, out of its shared library (Debian package `libsvm3`).

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;

use libloading::Library;
use upbeat_svm::Matrix;

/// Where the library is looked for: by its name, as the linker would.
const NAMES: [&str; 2] = ["libsvm.so.3", "libsvm.so"];

/// `struct svm_node` of svm.h
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Node {
    index: c_int,
    value: f64,
}

type Load = unsafe extern "C" fn(*const c_char) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut *mut c_void);
type Predict = unsafe extern "C" fn(*const c_void, *const Node) -> f64;
type PredictValues = unsafe extern "C" fn(*const c_void, *const Node, *mut f64) -> f64;

/// A model that libSVM has loaded.
pub struct Model {
    model: *mut c_void,
    predict: Predict,
    predict_values: PredictValues,
    free: Free,
    /// Keeps the functions' code in memory.
    _library: Library,
}

impl Model {
    /// Loads a file in libSVM's format; says why when there is no library or no such model.
    pub fn load(file: &Path) -> Result<Self, String> {
        let path = CString::new(file.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: loading libSVM runs no code of its own, and the types are those of svm.h.
        unsafe {
            let library = NAMES
                .iter()
                .find_map(|name| Library::new(*name).ok())
                .ok_or("libSVM's shared library is not installed: apt install libsvm3")?;
            let text = |error: libloading::Error| error.to_string();
            let load = *library.get::<Load>(b"svm_load_model").map_err(text)?;
            let free = *library.get::<Free>(b"svm_free_and_destroy_model").map_err(text)?;
            let predict = *library.get::<Predict>(b"svm_predict").map_err(text)?;
            let predict_values = *library.get::<PredictValues>(b"svm_predict_values").map_err(text)?;
            let model = load(path.as_ptr());
            if model.is_null() {
                return Err(format!("libSVM cannot load {}", file.display()));
            }
            Ok(Self { model, predict, predict_values, free, _library: library })
        }
    }

    /// The predicted label; `row` is one of [`nodes`].
    pub fn predict(&self, row: &[Node]) -> f64 {
        debug_assert!(row.last().is_some_and(|node| node.index == -1), "a row has an end");
        // SAFETY: the model was loaded, the row ends with index -1.
        unsafe { (self.predict)(self.model, row.as_ptr()) }
    }

    /// The decision value of a model with two classes.
    pub fn decision_value(&self, row: &[Node]) -> f64 {
        let mut value = 0.0;
        // SAFETY: as above; two classes have one decision value.
        unsafe { (self.predict_values)(self.model, row.as_ptr(), &mut value) };
        value
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: loaded by the same library, freed once.
        unsafe { (self.free)(&mut self.model) };
    }
}

/// Rows as libSVM takes them: index from 1 and value, closed by index -1.
pub fn nodes(rows: &Matrix) -> Vec<Vec<Node>> {
    let end = Node { index: -1, value: 0.0 };
    let row = |row: &[f64]| {
        let entries = row.iter().enumerate();
        entries.map(|(i, &value)| Node { index: i as c_int + 1, value }).chain([end]).collect()
    };
    rows.rows().map(row).collect()
}
