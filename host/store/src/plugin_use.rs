//! Plugins that runs have used, by the digests of their components.

use std::collections::BTreeSet;

use oxide_core::{api::page::Page, plugin::Capability, time::Timestamp};

use crate::{
    PageRequest, Store, StoreError, Transaction,
    list::{List, cursor_of},
    row::{get, json, number, time, to_json},
    sql::{Row, query, write_rows},
};

/// A plugin that was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginUseRow {
    /// `sha256:` and the digest of the component.
    pub digest: String,
    /// As it stood behind `uses:` the last time.
    pub reference: String,
    /// What it asks for.
    pub capabilities: BTreeSet<Capability>,
    /// When it was used for the first time.
    pub first_used_at: Timestamp,
    /// When it was used last.
    pub last_used_at: Timestamp,
    /// How often.
    pub uses: u64,
}

const SELECT: &str = "SELECT digest, reference, capabilities, first_used_at, last_used_at, uses FROM plugin_uses";

fn read(row: &Row) -> Result<PluginUseRow, StoreError> {
    Ok(PluginUseRow {
        digest: get(row, "digest")?,
        reference: get(row, "reference")?,
        capabilities: json(row, "capabilities")?,
        first_used_at: time(row, "first_used_at")?,
        last_used_at: time(row, "last_used_at")?,
        uses: number(row, "uses")?,
    })
}

impl Transaction {
    /// Adds uses of plugins to those that are stored; `uses` says how many. Each digest may be there once.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn add_plugin_uses(&mut self, uses: &[PluginUseRow]) -> Result<(), StoreError> {
        let sql = (
            "INSERT INTO plugin_uses (digest, reference, capabilities, first_used_at, last_used_at, uses) ",
            " ON CONFLICT (digest) DO UPDATE SET reference = excluded.reference, capabilities = excluded.capabilities, \
             last_used_at = CASE WHEN plugin_uses.last_used_at > excluded.last_used_at THEN plugin_uses.last_used_at \
             ELSE excluded.last_used_at END, uses = plugin_uses.uses + excluded.uses",
        );
        // Always in the same order: two that do this at the same time wait for each other, and not for ever.
        let mut uses: Vec<&PluginUseRow> = uses.iter().collect();
        uses.sort_by(|one, other| one.digest.cmp(&other.digest));
        write_rows(self.connection(), "write the use of plugins", sql, &uses, |values, plugin| {
            values
                .bind(&plugin.digest)
                .bind(&plugin.reference)
                .bind(to_json(&plugin.capabilities))
                .bind(plugin.first_used_at)
                .bind(plugin.last_used_at)
                .bind(plugin.uses)
        })
        .await?;
        Ok(())
    }
}

impl Store {
    /// Plugins that were used, by reference.
    ///
    /// # Errors
    /// The cursor is none, or the store cannot be read.
    pub async fn plugin_uses(&self, request: &PageRequest) -> Result<Page<PluginUseRow>, StoreError> {
        let rows = List::new("list plugins", SELECT)
            .after_both(("reference", "digest"), request.texts::<2>()?)
            .fetch(&mut self.reader().await?, "reference, digest", request)
            .await?;
        let plugins = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(request.page(plugins, |last: &PluginUseRow| cursor_of(&[&last.reference, &last.digest])))
    }

    /// A plugin that was used, by the digest of its component.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn plugin_use(&self, digest: &str) -> Result<Option<PluginUseRow>, StoreError> {
        let row = query("read the use of a plugin", format!("{SELECT} WHERE digest = $1")).bind(digest);
        row.fetch_optional(&mut self.reader().await?).await?.as_ref().map(read).transpose()
    }
}
