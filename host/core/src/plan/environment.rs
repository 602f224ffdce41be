//! Where the commands of a job run, with the expressions evaluated.

use super::{
    EnvironmentSpec,
    build::DEFAULT_PIDS,
    expressions::Known,
    jobs::{JobsOfStage, image},
    matrix::Cell,
};
use crate::{diagnostic::Diagnostic, grant::Trust, pipeline::StageEnvironment, yaml::Node};

/// The environment of the job of one cell.
pub(super) fn plan(of: &JobsOfStage<'_>, cell: &Cell) -> Result<EnvironmentSpec, Diagnostic> {
    let text = |node: &Node| Known::at_planning(of.context, cell, node);
    match &of.stage.environment {
        // A stage without `environment` runs no commands; nothing is prepared for it.
        None | Some(StageEnvironment::Host) => Ok(EnvironmentSpec::Host),
        Some(StageEnvironment::Container { image: name, resources }) => Ok(EnvironmentSpec::Container {
            image: image(name, of.context, cell)?,
            cpus: resources.cpus,
            memory_bytes: resources.memory_bytes,
            pids: resources.pids.unwrap_or(DEFAULT_PIDS),
            network: of.context.trust == Trust::Full || of.forks.network,
        }),
        Some(StageEnvironment::Nix { flake: node }) => {
            let flake = text(node)?;
            if flake.trim().is_empty() || flake.contains(char::is_control) || flake.starts_with('-') {
                return Err(Diagnostic::at(node.span, format!("`{}` names no flake", flake.escape_debug()))
                    .hint("write it as `nix develop` takes it, such as `.` or `.#ci`"));
            }
            Ok(EnvironmentSpec::Nix { flake })
        }
        Some(StageEnvironment::Firecracker { kernel, rootfs, boot_args, vcpus, memory_bytes }) => {
            let file = |node: &Node| {
                let path = text(node)?;
                match path.starts_with('/') && !path.contains(char::is_control) {
                    true => Ok(path),
                    false => Err(Diagnostic::at(node.span, format!("`{}` is no absolute path", path.escape_debug()))
                        .hint("write the path of a file on the machine of the agent")),
                }
            };
            Ok(EnvironmentSpec::Firecracker {
                kernel: file(kernel)?,
                rootfs: file(rootfs)?,
                boot_args: boot_args.as_ref().map(text).transpose()?.filter(|text| !text.trim().is_empty()),
                vcpus: *vcpus,
                memory_bytes: *memory_bytes,
            })
        }
    }
}
