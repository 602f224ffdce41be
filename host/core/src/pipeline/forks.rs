//! `forks:`: what runs of pull requests from forks may do beyond the least.

use super::reader::Reader;
use crate::{grant::ForkRights, yaml::Node};

pub(super) fn read(node: &Node, reader: &mut Reader) -> ForkRights {
    let Some(fields) = reader.fields(node, "forks", &["network", "host"]) else { return ForkRights::default() };
    let mut flag =
        |key: &str| fields.get(key).and_then(|node| reader.boolean(node, &format!("`{key}`"))).unwrap_or(false);
    ForkRights { network: flag("network"), host: flag("host") }
}
