//! `environment:` of a stage: where its commands run.

use super::{quantity, reader::Reader};
use crate::{
    diagnostic::Diagnostic,
    yaml::{Content, Node, parse_float},
};

/// Where the commands of a stage run.
#[derive(Clone, Debug, PartialEq)]
pub enum StageEnvironment {
    /// Directly on the machine of the agent.
    Host,
    /// In a container of this image; the text may hold expressions.
    Container {
        /// The image.
        image: Node,
        /// What it may use.
        resources: Resources,
    },
    /// On the machine of the agent, with what the flake's development shell brings; the text may hold expressions.
    Nix {
        /// The flake.
        flake: Node,
    },
    /// In a virtual machine of its own; the texts may hold expressions.
    Firecracker {
        /// The file of the kernel.
        kernel: Node,
        /// The file of the root file system.
        rootfs: Node,
        /// What the kernel is told beyond what it must be told.
        boot_args: Option<Node>,
        /// How many processors it has.
        vcpus: u32,
        /// How many bytes of memory it has.
        memory_bytes: u64,
    },
}

/// How many processors a virtual machine can have.
const VCPUS_MAX: f64 = 32.0;
/// The memory of a virtual machine if the stage does not say.
const DEFAULT_VM_MEMORY_BYTES: u64 = 512 << 20;
/// No kernel starts with less.
const VM_MEMORY_BYTES_MIN: u64 = 64 << 20;

/// What a container may use. What is absent is not bounded, but for the number of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// Processors.
    pub cpus: Option<f64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Processes.
    pub pids: Option<u32>,
}

const WHAT_TO_WRITE: &str = "write `environment: host` or `environment: { container: IMAGE }`";

impl StageEnvironment {
    /// The texts of it that may hold expressions.
    pub fn texts(&self) -> impl Iterator<Item = &Node> {
        let texts: [Option<&Node>; 3] = match self {
            StageEnvironment::Host => [None, None, None],
            StageEnvironment::Container { image, .. } => [Some(image), None, None],
            StageEnvironment::Nix { flake } => [Some(flake), None, None],
            StageEnvironment::Firecracker { kernel, rootfs, boot_args, .. } => {
                [Some(kernel), Some(rootfs), boot_args.as_ref()]
            }
        };
        texts.into_iter().flatten()
    }

    pub(super) fn read(node: &Node, reader: &mut Reader) -> Option<StageEnvironment> {
        if let Content::Scalar { text, .. } = &node.content {
            if text == "host" {
                return Some(StageEnvironment::Host);
            }
            let example = match text.as_str() {
                "nix" => Some("write `environment: { nix: \".\" }` for the flake of the workspace"),
                "firecracker" => Some("write `environment: { firecracker: { kernel: PATH, rootfs: PATH } }`"),
                _ => None,
            };
            if let Some(example) = example {
                reader.error(Diagnostic::at(node.span, format!("the environment `{text}` needs more")).hint(example));
                return None;
            }
            let error = Diagnostic::at(node.span, format!("there is no environment `{text}`"));
            reader.error(match text.is_empty() {
                true => Diagnostic::at(node.span, "the environment is empty").hint(WHAT_TO_WRITE),
                false => {
                    error.hint(format!("{WHAT_TO_WRITE}; for an image: `environment: {{ container: \"{text}\" }}`"))
                }
            });
            return None;
        }
        let fields = reader.fields(node, "an environment", &["container", "nix", "firecracker", "resources"])?;
        let mut kinds = ["container", "nix", "firecracker"].into_iter().filter_map(|key| fields.entry(key));
        if let (Some(_), Some((second, _))) = (kinds.next(), kinds.next()) {
            let error = Diagnostic::at(second.span, "the environment has two kinds, and a stage runs in one place");
            reader.error(error.hint("keep one of `container`, `nix` and `firecracker`"));
            return None;
        }
        if let Some(flake) = fields.get("nix") {
            if let Some((key, _)) = fields.entry("resources") {
                let error = Diagnostic::at(key.span, "`nix` runs commands on the host, which bounds no resources");
                reader.error(error.hint("remove `resources`, or use a container or `firecracker`"));
            }
            let flake = reader.template(flake, "the flake")?;
            if flake.as_text().is_some_and(|text| text.trim().is_empty()) {
                reader.error(Diagnostic::at(flake.span, "the flake is empty").hint("write `nix: \".\"`"));
                return None;
            }
            return Some(StageEnvironment::Nix { flake });
        }
        if let Some(machine) = fields.get("firecracker") {
            return read_firecracker(machine, fields.entry("resources"), reader);
        }
        let resources = fields.get("resources").map(|node| Resources::read(node, reader)).unwrap_or_default();
        let Some(image) = fields.get("container") else {
            if fields.lacks("container") && fields.lacks("nix") && fields.lacks("firecracker") {
                reader.error(Diagnostic::at(fields.span, "the environment has no `container`").hint(WHAT_TO_WRITE));
            }
            return None;
        };
        let image = reader.template(image, "the image of a container")?;
        if image.as_text().is_some_and(|text| text.trim().is_empty() || text.contains(char::is_control)) {
            reader.error(Diagnostic::at(image.span, "the image of a container must be a name, such as `debian:12`"));
            return None;
        }
        Some(StageEnvironment::Container { image, resources })
    }
}

fn read_firecracker(node: &Node, resources: Option<(&Node, &Node)>, reader: &mut Reader) -> Option<StageEnvironment> {
    let fields = reader.fields(node, "`firecracker`", &["kernel", "rootfs", "boot_args"])?;
    let mut file = |key: &str, what: &str| {
        let Some(node) = fields.get(key) else {
            if fields.lacks(key) {
                let error = Diagnostic::at(fields.span, format!("`firecracker` has no `{key}`"));
                reader.error(error.hint("write `firecracker: { kernel: PATH, rootfs: PATH }`: files of the agent"));
            }
            return None;
        };
        reader.template(node, what)
    };
    let (kernel, rootfs) = (file("kernel", "the kernel"), file("rootfs", "the root file system"));
    let boot_args = fields.get("boot_args").and_then(|node| reader.template(node, "`boot_args`"));
    let given = resources.map(|(_, node)| Resources::read(node, reader)).unwrap_or_default();
    let place = resources.map_or(node.span, |(key, _)| key.span);
    let vcpus = given.cpus.unwrap_or(1.0);
    if vcpus.fract() != 0.0 || vcpus > VCPUS_MAX {
        let error = Diagnostic::at(place, format!("a virtual machine has 1 to {VCPUS_MAX} whole processors"));
        reader.error(error.hint("write `cpus: 2`"));
    }
    let memory_bytes = given.memory_bytes.unwrap_or(DEFAULT_VM_MEMORY_BYTES);
    if memory_bytes < VM_MEMORY_BYTES_MIN {
        reader.error(Diagnostic::at(place, "a virtual machine needs at least 64MiB of memory"));
    }
    if given.pids.is_some() {
        let error = Diagnostic::at(place, "a virtual machine has all the processes that its memory can hold");
        reader.error(error.hint("remove `pids`"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number up to 32, or an error")]
    let vcpus = vcpus as u32;
    Some(StageEnvironment::Firecracker { kernel: kernel?, rootfs: rootfs?, boot_args, vcpus, memory_bytes })
}

impl Resources {
    pub(super) fn read(node: &Node, reader: &mut Reader) -> Resources {
        let Some(fields) = reader.fields(node, "resources", &["cpus", "memory", "pids"]) else {
            return Resources::default();
        };
        let cpus = fields.get("cpus").and_then(|node| {
            let number = match &node.content {
                Content::Scalar { text, plain: true } => parse_float(text).and_then(|text| text.parse::<f64>().ok()),
                _ => None,
            };
            let cpus = number.filter(|cpus| (0.01..=1024.0).contains(cpus));
            if cpus.is_none() {
                reader.expected(node, "the number of processors", "a number from 0.01 to 1024");
            }
            cpus
        });
        let memory_bytes = fields.get("memory").and_then(|node| quantity::bytes(node, reader));
        let pids = fields.get("pids").and_then(|node| reader.number(node, "the number of processes", 1, 1 << 22));
        Resources { cpus, memory_bytes, pids: pids.and_then(|pids| u32::try_from(pids).ok()) }
    }
}
