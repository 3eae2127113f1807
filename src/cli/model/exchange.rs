//! `upbeat model import` and `upbeat model export`: Upbeat's model files and those of other tools.

use std::ffi::OsString;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::{ExportArgs, Format, ImportArgs};
use crate::cli::files;
use crate::cli::output::{self, Output};
use upbeat_core::feature::FEATURE_COUNT;
use upbeat_core::model;
use upbeat_svm::{Calibration, Import, Model, Significant, TextFormat, liblinear, libsvm, onnx};

pub(super) fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let output = output::open_one(&[&args.input], &args.output)?;
    let wanted = Import {
        window: model::metadata(args.window.window(), args.label.into()),
        features: args.features.map(|count| count as usize),
        least_features: FEATURE_COUNT,
        name: args.name.clone(),
    };
    let at = || files::shown(&args.input);
    let (format, imported) = wanted.read(files::open(&args.input)?).with_context(at)?;
    let features = model::features(imported.parts().features.count);
    let model = imported.with_features(features).with_context(at)?;
    let bytes = model.to_bytes();
    model::read(&bytes).with_context(|| format!("{}: cannot be imported", files::shown(&args.input)))?;
    output.write_all(&bytes)?;
    let (tool, remedy) = match format {
        TextFormat::Libsvm => ("libSVM", "svm-train -b 1 makes one"),
        TextFormat::Liblinear => ("LIBLINEAR", "a logistic regression, -s 0, 6 or 7, needs none"),
    };
    let count = model.parts().features.count;
    output::note(format_args!("imported model {} of {count} features from {tool}", model.id()));
    if let Some(note) = model::constant_note(&model) {
        output::note(format_args!("warning: {note}"));
    }
    if model.parts().calibration.is_none() {
        output::note(format_args!("it has no calibration ({remedy}): scores, but no probabilities"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    if matches!(args.format, Format::Libsvm) {
        return export_libsvm(args);
    }
    let mut output = output::open_one(&[&args.input], &args.output)?;
    let model = files::read_model(&args.input)?;
    let at = || files::shown(&args.input);
    let keeps_calibration = if matches!(args.format, Format::Liblinear) {
        output.write(|output| liblinear::export(&model, output).with_context(at))?;
        liblinear::keeps_calibration(&model)
    } else {
        output.write(|output| onnx::export(&model, output).with_context(at))?;
        has_sigmoid(&model)
    };
    output.finish()?;
    report_losses(&model, keeps_calibration);
    Ok(ExitCode::SUCCESS)
}

fn export_libsvm(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    // Whether there will be a second file, only the model tells; it is read in no time.
    output::refuse_overlaps(&[&args.input], &[&args.output])?;
    let model = &files::read_model(&args.input)?;
    let scaling = libsvm::row_scaling(model);
    if scaling.is_some() && output::is_descriptor(&args.output) {
        return Ok(crate::cli::train::usage(
            "this model scales its rows and its scaling is written beside it as OUT.range; \
             name a file with -o",
        ));
    }
    let range = range_file(&args.output);
    let named: Vec<&Path> = iter::once(&*args.output).chain(scaling.map(|_| &*range)).collect();
    let mut outputs = output::open(&[&args.input], &named)?;
    outputs[0].write(|output| libsvm::export(model, output).with_context(|| files::shown(&args.input)))?;
    if let Some(scaling) = scaling {
        outputs[1].write(|output| Ok(libsvm::write_range(scaling, output)?))?;
    }
    outputs.into_iter().try_for_each(Output::finish)?;
    report_losses(model, has_sigmoid(model));
    if scaling.is_some() {
        output::note(format_args!(
            "the model takes scaled rows: svm-scale -r {} FEATURES > SCALED, then svm-predict SCALED {} OUT",
            range.display(),
            args.output.display()
        ));
        if let Some(apart) = libsvm::svm_scale_difference(model) {
            let what = if has_sigmoid(model) { "a probability" } else { "a score, as a share of its size," };
            output::note(format_args!(
                "svm-scale writes six digits, by which {what} may differ by {}",
                Significant(apart, 2)
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn has_sigmoid(model: &Model) -> bool {
    model.parts().calibration.as_ref().and_then(Calibration::platt).is_some()
}

/// What another tool will not know of the model: no format has a place for how its training ended.
fn report_losses(model: &Model, keeps_calibration: bool) {
    for note in model::serving_notes(model) {
        output::note(format_args!("warning: {note}"));
    }
    if model.parts().calibration.is_some() && !keeps_calibration {
        output::note("the format has no place for this calibration: labels and scores, but no probabilities");
    }
}

/// `OUT.range`.
fn range_file(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".range");
    name.into()
}
