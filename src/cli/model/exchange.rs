//! Between our model file and libSVM's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::{ExportArgs, Format, ImportArgs};
use crate::cli::files;
use crate::svm::libsvm;

pub(super) fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let Format::Libsvm = args.format;
    let features = args.features.map(|count| count as usize);
    let model = libsvm::import(files::open(&args.input)?, args.window.window(), features, args.name.clone())
        .with_context(|| files::shown(&args.input))?;
    files::write_to(&args.output, |output| Ok(output.write_all(&model.to_bytes())?))?;
    eprintln!("imported model {} of {} features", model.id(), model.parts().features.count);
    if model.parts().calibration.is_none() {
        eprintln!("it has no calibration (svm-train -b 1 makes one): scores, but no probabilities");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let Format::Libsvm = args.format;
    let model = files::read_model(&args.input)?;
    let scaling = libsvm::scaling_beside(&model);
    if scaling.is_some() && files::is_dash(&args.output) {
        return Ok(crate::cli::train::usage(
            "this model scales its rows and its scaling is written beside it as OUT.range; \
             name a file with -o",
        ));
    }
    files::write_to(&args.output, |output| {
        libsvm::export(&model, output).with_context(|| files::shown(&args.input))
    })?;
    if let Some(scaling) = scaling {
        let range = beside(&args.output);
        files::write_to(&range, |output| Ok(libsvm::write_range(scaling, output)?))?;
        eprintln!(
            "the model takes scaled rows: svm-scale -r {} FEATURES > SCALED, then svm-predict SCALED {} OUT",
            range.display(),
            args.output.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// `OUT.range`
fn beside(output: &Path) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(".range");
    name.into()
}
