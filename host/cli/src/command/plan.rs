//! `oxide plan`: what a run would do.

use std::path::{Path, PathBuf};

use oxide_core::{
    approval,
    grant::{Grants, SecretGrant},
    plan::{EnvironmentSpec, Plan, PlannedJob, PlannedStep},
    plugin::Capability,
    quantity,
};

use crate::{
    exit_code::Exit,
    failure::Failure,
    planning::{self, Choices},
    project::Project,
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide plan`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A pipeline file, or the directory of a project.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choices: Choices,
}

/// Prints the plan.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<Exit, Failure> {
    let project = Project::open(&arguments.path)?;
    let plan = planning::plan(&project, arguments.choices.clone(), data_dir)?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&plan);
        let text = text.map_err(|error| Failure::trouble("could not write the plan as JSON").because(&error))?;
        print(&(text + "\n"))?;
    } else {
        print(&text(&plan, Paint { colour: Terminal::stdout().colour }))?;
    }
    Ok(Exit::Success)
}

fn text(plan: &Plan, paint: Paint) -> String {
    let mut text = format!("{}  {}\n", paint.bold(&without_controls(&plan.pipeline)), paint.dim(&plan.file));
    if let Some(concurrency) = &plan.concurrency {
        let then = if concurrency.cancel_in_progress { "a newer run cancels older ones" } else { "a newer run waits" };
        let most = quantity::how_many(concurrency.limit.into(), "run");
        let group = without_controls(&concurrency.group);
        text.push_str(&format!("{}\n", paint.dim(&format!("at most {most} of group {group}; {then}"))));
    }
    for stage in &plan.stages {
        let after: Vec<&str> = stage.depends_on.iter().map(|on| plan.stage(on.stage).name.as_str()).collect();
        let after = if after.is_empty() { String::new() } else { format!("  after {}", after.join(", ")) };
        text.push_str(&format!("\n{}{}\n", paint.bold(&stage.name), paint.dim(&after)));
        if let Some(asked) = &stage.approval {
            let wanted = without_controls(&approval::wanted(&asked.approvers, asked.minimum));
            let line = format!("waits for {wanted}, {} at most", quantity::duration_ms(asked.timeout_ms));
            text.push_str(&format!("  {}\n", paint.dim(&line)));
        }
        for index in &stage.jobs {
            job(&mut text, plan.job(*index), paint);
        }
    }
    text
}

fn job(text: &mut String, job: &PlannedJob, paint: Paint) {
    let place = match &job.environment {
        EnvironmentSpec::Host => "on the host".to_owned(),
        EnvironmentSpec::Container { image, .. } => format!("in {image}"),
        EnvironmentSpec::Nix { flake } => format!("on the host, with the nix flake {flake}"),
        EnvironmentSpec::Firecracker { rootfs, .. } => format!("in a virtual machine from {rootfs}"),
    };
    text.push_str(&format!("  {}  {}\n", without_controls(&job.name), paint.dim(&place)));
    for service in &job.services {
        let mut facts = vec![format!("service, image {}", service.image)];
        facts.extend(service.healthcheck.as_ref().map(|check| format!("ready when `{}`", check.run)));
        if !service.secrets.is_empty() {
            facts.push(format!("secrets {}", service.secrets.iter().cloned().collect::<Vec<_>>().join(", ")));
        }
        text.push_str(&format!("    {}  {}\n", service.name, paint.dim(&without_controls(&facts.join(" · ")))));
    }
    for step in &job.steps {
        text.push_str(&format!("    {}\n", line(step, paint)));
    }
}

/// A step with its plugin, what it may reach, and when it runs.
fn line(step: &PlannedStep, paint: Paint) -> String {
    let reach = reach(&step.grants);
    let digest: String = step.plugin.digest.chars().take("sha256:".len() + 12).collect();
    let mut facts = vec![
        format!("{} {digest}", step.plugin.reference),
        format!("may reach: {reach}"),
        format!(
            "at most {}, {}",
            quantity::duration_ms(step.limits.timeout_ms),
            quantity::bytes(step.limits.memory_bytes)
        ),
    ];
    if let Some(condition) = &step.condition {
        facts.push(format!("if {}", condition.expression));
    }
    if step.parallel_group.is_some() {
        facts.push("parallel".to_owned());
    }
    format!("{}  {}", without_controls(&step.name), paint.dim(&facts.join(" · ")))
}

/// What a step may reach, in words of `grants:`.
fn reach(grants: &Grants) -> String {
    let mut reach: Vec<String> = grants
        .capabilities
        .iter()
        .filter(|capability| **capability != Capability::Secrets)
        .map(|capability| grants.shown(*capability))
        .collect();
    if !grants.secrets.is_empty() {
        let names = grants.secrets.iter().map(|(name, grant)| match grant {
            SecretGrant::Spend => name.clone(),
            SecretGrant::Reveal => format!("{name} (may be read)"),
        });
        reach.push(format!("secrets {}", names.collect::<Vec<_>>().join(", ")));
    }
    if reach.is_empty() { "nothing beyond its log".to_owned() } else { reach.join(", ") }
}
