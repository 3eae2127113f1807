//! Which models this service can serve. The learner's model file carries window, label and feature definition as opaque
//! metadata; only this module interprets them.

use upbeat_svm::{Features, Machine, Metadata, Model, ModelError, SolverRecord, Training, constant};

use crate::campaign::Label;
use crate::feature::{FEATURE_COUNT, FEATURE_DEFINITION, FEATURE_NAMES};
use crate::profile::Window;

/// The description of a model's input for its file. Six features are taken to be Upbeat's own shares; of any other
/// count neither names nor definition are known.
#[must_use]
pub fn features(count: usize) -> Features {
    let own = count == FEATURE_COUNT;
    Features {
        definition: own.then(|| FEATURE_DEFINITION.to_owned()),
        names: own.then(|| FEATURE_NAMES.map(str::to_owned).to_vec()),
        count,
    }
}

/// How a model's training rows were made, as its file carries it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    plays: u32,
    days: u32,
    /// Left out for customers, so that files from before there were other labels are read and written as ever.
    #[serde(default, skip_serializing_if = "is_of_customers")]
    label: Label,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_of_customers(label: &Label) -> bool {
    *label == Label::Customer
}

/// The window and the label of a model's training rows as its file carries them.
#[must_use]
pub fn metadata(window: Window, label: Label) -> Metadata {
    let Window { plays, days } = window;
    Metadata::new(&Rows { plays, days, label })
}

/// What the probability of a model is of, as its training rows were labelled. A file that does not say is of customers.
#[must_use]
pub fn label(model: &Model) -> Label {
    model.window().read().map_or(Label::Customer, |rows: Rows| rows.label)
}

/// Reads a model file whose window and label are Upbeat's.
///
/// # Errors
/// The errors of [`Model::read`]; or the file's window is not of Upbeat's form, or out of range, or its label is none.
pub fn read(bytes: &[u8]) -> Result<Model, ModelError> {
    let model = Model::read(bytes)?;
    window(&model)?;
    Ok(model)
}

/// The window of plays from which a model's training features were made.
///
/// # Errors
/// The model carries no window, or one that is out of range: the field and what it must be.
pub fn window(model: &Model) -> Result<Window, ModelError> {
    // Line and column are those of the value alone and would mislead.
    let reason = |error: String| error.split(" at line ").next().unwrap_or_default().to_owned();
    let Rows { plays, days, .. } =
        model.window().read().map_err(|error| ModelError::field("window", reason(error.to_string())))?;
    let window = Window { plays, days };
    match window.range_error() {
        Some((key, wanted)) => Err(ModelError::field(format!("window.{key}"), format!("must be {wanted}"))),
        None => Ok(window),
    }
}

/// Why a valid model cannot be served here, and how to fix it.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// Its window cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It has another feature definition, number of features or window.
    #[error("the model cannot serve here: {0}")]
    Mismatch(String),
}

/// Checks whether this build, with the window `served`, may serve a model.
///
/// # Errors
/// The model has another feature definition, number of features or window; the message says how to fix it.
pub fn check_serving(model: &Model, served: Window) -> Result<(), ServingError> {
    let Features { definition, count, .. } = &model.parts().features;
    let refuse = |reason: String| Err(ServingError::Mismatch(reason));
    if *count != FEATURE_COUNT {
        return refuse(format!(
            "it takes {count} features, the server makes {FEATURE_COUNT} ({}); \
             train on the output of `upbeat features`",
            FEATURE_NAMES.join(", ")
        ));
    }
    if definition.as_deref() != Some(FEATURE_DEFINITION) {
        return refuse(format!(
            "its features are {}, the server makes {FEATURE_DEFINITION}; \
             make the features again with this version's `upbeat features` and train again",
            definition.as_deref().unwrap_or("of no known definition")
        ));
    }
    let trained = window(model)?;
    if trained != served {
        let Window { plays, days } = trained;
        return refuse(format!(
            "it was trained on a window of {plays} plays and {days} days, the server's is {} plays and \
             {} days; set window.plays = {plays} and window.days = {days} in upbeat.toml, or train with \
             --window-plays {} --window-days {} on features of that window",
            served.plays, served.days, served.plays, served.days
        ));
    }
    Ok(())
}

/// What to say of a model that scores all listeners alike, where it does: a server takes it, but it decides nothing.
#[must_use]
pub fn constant_note(model: &Model) -> Option<&'static str> {
    (model.is_constant() || is_constant_on_shares(model)).then_some(
        "the model scores all listeners alike and tells none from another; train with --loss squared-hinge or \
         --class-weight",
    )
}

/// Whether a linear model scores all rows of shares alike. One of another tool comes without a record of it, and its
/// weights tell nothing where the unit of the features is not known; shares lie between 0 and 1.
fn is_constant_on_shares(model: &Model) -> bool {
    let parts = model.parts();
    match &parts.machine {
        Machine::Linear { weights, bias }
            if parts.scaling.is_none()
                && parts.features.definition.as_deref() == Some(FEATURE_DEFINITION) =>
        {
            let least: f64 = weights.iter().map(|weight| weight.min(0.0)).sum();
            let most: f64 = weights.iter().map(|weight| weight.max(0.0)).sum();
            constant([bias + least, bias + most])
        }
        _ => false,
    }
}

/// How the solver of a model ended, where its file says.
#[must_use]
pub fn solver_record(model: &Model) -> Option<&SolverRecord> {
    model.parts().training.as_ref()?.parameters.as_ref()
}

/// What to say of a model that a server takes as it is: that it scores all listeners alike, that its solver did not
/// converge. Whoever loads or checks a model says all of them.
#[must_use]
pub fn serving_notes(model: &Model) -> Vec<String> {
    let unconverged = model.parts().training.as_ref().and_then(Training::unconverged);
    constant_note(model).map(str::to_owned).into_iter().chain(unconverged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> String {
        let names = FEATURE_NAMES.join("\",\"");
        format!(
            r#"{{"format":"upbeat-model","version":1,"name":null,
            "features":{{"definition":"{FEATURE_DEFINITION}","names":["{names}"],"count":6}},
            "window":{{"plays":256,"days":28}},"labels":{{"positive":"1","negative":"0"}},"scaling":null,
            "kernel":{{"type":"linear"}},"weights":[1,0,0,0,0,0],"bias":0,"calibration":null,"training":null}}"#
        )
    }

    #[test]
    fn serving_requires_the_same_features_and_window() {
        let served = Window { plays: 256, days: 28 };
        let model = read(sample().as_bytes()).expect("a model");
        check_serving(&model, served).expect("it fits");
        let detail =
            check_serving(&model, Window { plays: 100, days: 7 }).expect_err("another window").to_string();
        for part in ["256 plays and 28 days", "window.plays = 256", "--window-plays 100 --window-days 7"] {
            assert!(detail.contains(part), "{detail}");
        }
        let other = sample().replace("upbeat.shares/1", "upbeat.shares/9");
        let model = read(other.as_bytes()).expect("a model");
        let detail = check_serving(&model, served).expect_err("another definition").to_string();
        assert!(detail.contains("upbeat.shares/9, the server makes upbeat.shares/1"), "{detail}");
    }

    #[test]
    fn model_that_scores_all_listeners_alike_is_named() {
        let model = read(sample().as_bytes()).expect("a model");
        assert_eq!(constant_note(&model), None);
        let model = read(sample().replace("[1,0,", "[0,0,").as_bytes()).expect("a model");
        assert!(constant_note(&model).is_some_and(|note| note.contains("--loss squared-hinge")));
        check_serving(&model, Window { plays: 256, days: 28 }).expect("a server takes it");
        // As svm-train's hinge loss ends: no weight is 0, and none counts.
        let tiny = sample().replace("[1,0,0,0,0,0],\"bias\":0", "[2e-8,-3e-8,2e-8,0,1e-9,0],\"bias\":-1");
        let model = read(tiny.as_bytes()).expect("a model");
        assert!(!model.is_constant() && constant_note(&model).is_some());
        // Of features in another unit, such weights may tell all.
        let (ours, another) = (format!("\"{FEATURE_DEFINITION}\""), "null");
        let model = read(tiny.replace(&ours, another).as_bytes()).expect("a model");
        assert_eq!(constant_note(&model), None);
    }

    #[test]
    fn window_out_of_range_names_its_field() {
        for (from, to, message) in [
            ("\"plays\":256", "\"plays\":0", "field window.plays: must be from 1 to 65535"),
            ("\"days\":28", "\"days\":99999", "field window.days: must be from 1 to 36500"),
            ("\"days\":28", "\"weeks\":4", "field window: unknown field `weeks`"),
            ("{\"plays\":256,\"days\":28}", "null", "field window: invalid type: null"),
        ] {
            let file = sample();
            assert!(file.contains(from), "{from}");
            let detail = read(file.replace(from, to).as_bytes()).expect_err(to).to_string();
            assert!(detail.contains(message), "{message:?} not in {detail:?}");
        }
    }

    #[test]
    fn label_of_a_model_is_that_of_its_rows_and_customer_where_the_file_does_not_say() {
        let model = read(sample().as_bytes()).expect("a model");
        assert_eq!(label(&model), Label::Customer);
        for wanted in [Label::Customer, Label::Impression] {
            let window = metadata(Window::default(), wanted);
            let file = sample().replace("{\"plays\":256,\"days\":28}", window.as_str());
            let model = read(file.as_bytes()).expect("a model");
            assert_eq!(label(&model), wanted);
            check_serving(&model, Window::default()).expect("the label is no part of the window");
            assert_eq!(label(&read(&model.to_bytes()).expect("a model")), wanted);
        }
        let of_customers = metadata(Window::default(), Label::Customer);
        assert_eq!(of_customers.as_str(), r#"{"plays":256,"days":28}"#, "as files had it before");
        for (label, said) in
            [("\"show\"", "unknown variant `show`"), ("null", "expected value"), ("1", "expected value")]
        {
            let file = sample().replace("\"days\":28", &format!("\"days\":28,\"label\":{label}"));
            let refusal = read(file.as_bytes()).expect_err("another label").to_string();
            assert!(refusal.starts_with("field window: ") && refusal.contains(said), "{refusal}");
        }
    }

    #[test]
    fn six_features_get_upbeats_definition_and_names() {
        assert_eq!(features(6).definition.as_deref(), Some(FEATURE_DEFINITION));
        assert_eq!((features(5).definition, features(7).names), (None, None));
    }
}
