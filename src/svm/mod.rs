//! STUB until the svm branch lands.
#![allow(missing_docs)]
use crate::profile::Window;
#[derive(Debug, Clone)]
pub struct Model {
    id: String,
    window: Window,
}
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ModelError(pub String);
impl Model {
    pub fn read(_bytes: &[u8]) -> Result<Model, ModelError> {
        Ok(Model { id: "stub".into(), window: Window::default() })
    }
    pub fn id(&self) -> &str {
        &self.id
    }
    pub fn window(&self) -> Window {
        self.window
    }
    pub fn check_serving(&self, window: Window) -> Result<(), ModelError> {
        if window == self.window { Ok(()) } else { Err(ModelError("window".into())) }
    }
}
pub struct Scorer;
impl Scorer {
    pub fn new(_model: &Model) -> Scorer {
        Scorer
    }
    pub fn score(&self, vector: &[f64]) -> f64 {
        vector[4] - 0.7
    }
    pub fn probability(&self, score: f64) -> Option<f64> {
        Some(1.0 / (1.0 + (-score).exp()))
    }
}
impl Model {
    pub fn kernel_name(&self) -> &'static str {
        "linear"
    }
    pub fn support_vector_count(&self) -> usize {
        0
    }
}
