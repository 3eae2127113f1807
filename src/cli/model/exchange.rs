//! `upbeat model import` and `upbeat model export`: Upbeat's model files and those of other tools.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::{ExportArgs, Format, ImportArgs};
use crate::cli::files;
use upbeat_core::feature::FEATURE_COUNT;
use upbeat_core::model;
use upbeat_svm::{Calibration, Import, Model, TextFormat, liblinear, libsvm, onnx};

pub(super) fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let wanted = Import {
        window: model::metadata(args.window.window()),
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
    files::write_to(&args.output, |output| Ok(output.write_all(&bytes)?))?;
    let (tool, remedy) = match format {
        TextFormat::Libsvm => ("libSVM", "svm-train -b 1 makes one"),
        TextFormat::Liblinear => ("LIBLINEAR", "a logistic regression, -s 0, 6 or 7, needs none"),
    };
    eprintln!("imported model {} of {} features from {tool}", model.id(), model.parts().features.count);
    if model.parts().calibration.is_none() {
        eprintln!("it has no calibration ({remedy}): scores, but no probabilities");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let model = files::read_model(&args.input)?;
    let at = || files::shown(&args.input);
    match args.format {
        Format::Libsvm => return export_libsvm(args, &model),
        Format::Liblinear => {
            files::write_to(&args.output, |output| liblinear::export(&model, output).with_context(at))?;
            report_lost_calibration(&model, liblinear::keeps_calibration(&model));
        }
        Format::Onnx => {
            files::write_to(&args.output, |output| onnx::export(&model, output).with_context(at))?;
            report_lost_calibration(&model, has_sigmoid(&model));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn export_libsvm(args: &ExportArgs, model: &Model) -> anyhow::Result<ExitCode> {
    let scaling = libsvm::row_scaling(model);
    if scaling.is_some() && files::is_dash(&args.output) {
        return Ok(crate::cli::train::usage(
            "this model scales its rows and its scaling is written beside it as OUT.range; \
             name a file with -o",
        ));
    }
    files::write_to(&args.output, |output| {
        libsvm::export(model, output).with_context(|| files::shown(&args.input))
    })?;
    report_lost_calibration(model, has_sigmoid(model));
    if let Some(scaling) = scaling {
        let range = range_file(&args.output);
        files::write_to(&range, |output| Ok(libsvm::write_range(scaling, output)?))?;
        eprintln!(
            "the model takes scaled rows: svm-scale -r {} FEATURES > SCALED, then svm-predict SCALED {} OUT",
            range.display(),
            args.output.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn has_sigmoid(model: &Model) -> bool {
    model.parts().calibration.as_ref().and_then(Calibration::platt).is_some()
}

fn report_lost_calibration(model: &Model, kept: bool) {
    if model.parts().calibration.is_some() && !kept {
        eprintln!("the format has no place for this calibration: labels and scores, but no probabilities");
    }
}

/// `OUT.range`.
fn range_file(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".range");
    name.into()
}
