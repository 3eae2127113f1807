//! The model file: one JSON object, a field a line, a support vector a line.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::calibrate::Calibration;
use crate::data::exact::{self, Number};
use crate::data::labels::Labels;
use crate::data::matrix::Matrix;
use crate::data::scaling::Scaling;
use crate::kernel::Kernel;
use crate::model::check::check_features;
use crate::model::machine::Machine;
use crate::model::metadata::Metadata;
use crate::model::training::Training;
use crate::model::{Features, ModelError, Parts};

const FORMAT: &str = "upbeat-model";
/// Written; versions 1 and 2 have fewer fields in their training, and are read too.
const VERSION: u64 = 3;

/// Most bytes a model file may have.
const MAX_BYTES: usize = 64 << 20;

/// Read first, so that the error for a later version names the version and not its first new field.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "format")]
    _format: String,
    #[serde(rename = "version")]
    _version: u64,
    name: Option<String>,
    features: Features,
    window: Metadata,
    labels: Labels,
    scaling: Option<Scaling>,
    kernel: KernelFile,
    weights: Option<Vec<Number>>,
    support_vectors: Option<Vec<Vec<Number>>>,
    coefficients: Option<Vec<Number>>,
    #[serde(deserialize_with = "exact::number")]
    bias: f64,
    calibration: Option<Calibration>,
    training: Option<Training>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KernelFile {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact::optional")]
    gamma: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact::optional")]
    coef0: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    degree: Option<u32>,
}

impl From<Kernel> for KernelFile {
    fn from(kernel: Kernel) -> Self {
        let kind = kernel.name().to_owned();
        Self { kind, gamma: kernel.gamma(), coef0: kernel.coef0(), degree: kernel.degree() }
    }
}

impl TryFrom<KernelFile> for Kernel {
    type Error = ModelError;

    fn try_from(file: KernelFile) -> Result<Self, ModelError> {
        match (file.kind.as_str(), file.gamma, file.coef0, file.degree) {
            ("linear", None, None, None) => Ok(Self::Linear),
            ("rbf", Some(gamma), None, None) => Ok(Self::Rbf { gamma }),
            ("poly", Some(gamma), Some(coef0), Some(degree)) => Ok(Self::Poly { gamma, coef0, degree }),
            ("sigmoid", Some(gamma), Some(coef0), None) => Ok(Self::Sigmoid { gamma, coef0 }),
            ("linear" | "rbf" | "poly" | "sigmoid", ..) => Err(ModelError::field(
                "kernel",
                "rbf takes gamma; sigmoid gamma and coef0; poly gamma, coef0 and degree; linear nothing",
            )),
            _ => Err(ModelError::field("kernel.type", "must be linear, rbf, poly or sigmoid")),
        }
    }
}

/// Whether a file is as small as it must be.
pub(super) fn check_size(bytes: &[u8]) -> Result<(), ModelError> {
    if bytes.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(ModelError::TooLarge { bytes: bytes.len(), limit: MAX_BYTES })
}

/// What is wrong with bytes that are not the JSON of a model, and what to do.
fn syntax_error(bytes: &[u8], error: &serde_json::Error) -> ModelError {
    let text = bytes.trim_ascii();
    let said = if text.is_empty() {
        "it is empty".to_owned()
    } else if text.starts_with(b"svm_type") || text.starts_with(b"solver_type") {
        "it is one of libSVM or LIBLINEAR; `upbeat model import` makes an Upbeat model of it".to_owned()
    } else if !text.starts_with(b"{") {
        "it is no JSON object; `upbeat train` writes one".to_owned()
    } else if error.is_eof() || text.starts_with(b"{") && !text.ends_with(b"}") {
        format!("it ends at line {} within the object; it is not whole, copy it again", error.line())
    } else {
        error.to_string()
    };
    ModelError::Syntax(said)
}

/// Parts as the file has them; values are not checked yet, shapes are.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Parts, ModelError> {
    check_size(bytes)?;
    // An editor may put a byte order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let syntax = |error: serde_json::Error| syntax_error(bytes, &error);
    let head: Head = serde_json::from_slice(bytes).map_err(syntax)?;
    if head.format != FORMAT {
        return Err(ModelError::field("format", format!("must be \"{FORMAT}\"")));
    }
    if !(1..=VERSION).contains(&head.version) {
        let problem = format!("is {}, this build reads versions 1 to {VERSION}", head.version);
        return Err(ModelError::field("version", problem));
    }
    let file: File = serde_json::from_slice(bytes).map_err(syntax)?;
    check_features(&file.features)?;
    let kernel = Kernel::try_from(file.kernel)?;
    let machine = match (kernel, file.weights, file.support_vectors, file.coefficients) {
        (Kernel::Linear, Some(weights), None, None) => {
            Machine::Linear { weights: plain(weights), bias: file.bias }
        }
        (Kernel::Linear, ..) => {
            let problem = "a linear model has weights, and neither support_vectors nor coefficients";
            return Err(ModelError::field("weights", problem));
        }
        (_, None, Some(rows), Some(coefficients)) => Machine::Kernel {
            kernel,
            vectors: matrix(rows, file.features.count)?,
            coefficients: plain(coefficients),
            bias: file.bias,
        },
        _ => {
            let problem = "a kernel model has support_vectors and coefficients, and no weights";
            return Err(ModelError::field("support_vectors", problem));
        }
    };
    Ok(Parts {
        name: file.name,
        features: file.features,
        window: file.window,
        labels: file.labels,
        scaling: file.scaling,
        machine,
        calibration: file.calibration,
        training: file.training,
    })
}

fn plain(numbers: Vec<Number>) -> Vec<f64> {
    numbers.into_iter().map(|number| number.0).collect()
}

fn matrix(rows: Vec<Vec<Number>>, columns: usize) -> Result<Matrix, ModelError> {
    let mut matrix = Matrix::new(columns);
    for (i, row) in rows.into_iter().enumerate() {
        if row.len() != columns {
            let problem = format!("has {} numbers where {columns} are wanted", row.len());
            return Err(ModelError::field(format!("support_vectors[{i}]"), problem));
        }
        matrix.push(&plain(row));
    }
    Ok(matrix)
}

/// The file of checked parts.
pub(crate) fn to_bytes(parts: &Parts) -> Vec<u8> {
    let mut fields = vec![
        field("format", &FORMAT),
        field("version", &VERSION),
        field("name", &parts.name),
        field("features", &parts.features),
        field("window", &parts.window),
        field("labels", &parts.labels),
        field("scaling", &parts.scaling),
        field("kernel", &KernelFile::from(parts.machine.kernel())),
    ];
    match &parts.machine {
        Machine::Linear { weights, .. } => fields.push(field("weights", weights)),
        Machine::Kernel { vectors, coefficients, .. } => {
            let rows: Vec<String> = vectors.rows().map(|row| json(&row)).collect();
            fields.push(format!("\"support_vectors\":[\n{}\n]", rows.join(",\n")));
            fields.push(field("coefficients", coefficients));
        }
    }
    fields.push(field("bias", &parts.machine.bias()));
    fields.push(field("calibration", &parts.calibration));
    fields.push(field("training", &parts.training));
    format!("{{\n{}\n}}\n", fields.join(",\n")).into_bytes()
}

fn field(key: &str, value: &impl Serialize) -> String {
    format!("\"{key}\":{}", json(value))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain values with text keys always serialise")
}

/// The first 12 hex digits of the SHA-256 of a file's bytes.
pub(crate) fn id(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
