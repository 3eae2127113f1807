//! Parsers of the values of flags.

use upbeat_svm::check_name;

pub(super) fn number(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite());
    value.ok_or_else(|| "must be a finite number".to_owned())
}

pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    let value = number(text).ok().filter(|&value| value > 0.0);
    value.ok_or_else(|| "must be a finite number above 0, such as 1 or 0.5".to_owned())
}

pub(super) fn tolerance(text: &str) -> Result<f64, String> {
    let value = above_zero(text).ok().filter(|&value| value < 1.0);
    value.ok_or_else(|| "must be a number above 0 and below 1, such as 0.001; 1 is the margin".to_owned())
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let value = number(text).ok().filter(|&value| value > 0.0 && value < 1.0);
    value.ok_or_else(|| "must be a share above 0 and below 1, such as 0.25".to_owned())
}

pub(super) fn class_weight(text: &str) -> Result<(String, f64), String> {
    let wanted = || "must be LABEL=W with W above 0, such as 1=5".to_owned();
    let (label, weight) = text.split_once('=').ok_or_else(wanted)?;
    number(label).map_err(|_| wanted())?;
    Ok((label.to_owned(), above_zero(weight).map_err(|_| wanted())?))
}

pub(super) fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned()).map_err(str::to_owned)
}
