//! The table of the project's numbers, each beside its floor or peer, measured in one run.
//!
//! Whole programs are timed from outside, in pairs (ours, theirs, ours, theirs, …); the median of the ratios counts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    bench_languages, guests,
    languages::{self, Language},
    packages,
    tools::{Outcome, cargo, oxide, root, say, succeed},
};

/// How many pairs are measured.
const PAIRS: usize = 5;

/// One line of the table.
struct Row {
    what: String,
    ours: String,
    floor: String,
    ratio: String,
    wanted: String,
    met: bool,
}

/// Measures everything and prints the table.
pub fn run() -> Outcome {
    guests::build_all()?;
    succeed(&mut cargo(&["build", "--quiet", "--package", "oxide-cli"]))?;
    let place = std::env::temp_dir().join(format!("oxide-bench-{}", std::process::id()));
    let result = measure(&place);
    let rows = result.inspect_err(|_| drop(fs::remove_dir_all(&place)))?;
    println!("\nOxide CI in numbers ({})\n", machine());
    println!("| what | ours | floor or peer | ratio | wanted | met |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let met = if row.met { "yes" } else { "NO" };
        println!("| {} | {} | {} | {} | {} | {met} |", row.what, row.ours, row.floor, row.ratio, row.wanted);
    }
    println!();
    let languages = bench_languages::run(&place);
    let _ = fs::remove_dir_all(&place);
    languages?;
    println!();
    say("the warm call, against bare wasmtime");
    succeed(&mut cargo(&["bench", "--quiet", "--profile", "dev", "--workspace", "--bench", "warm_step"]))
}

fn measure(place: &Path) -> Outcome<Vec<Row>> {
    let bench = Bench { place: place.to_path_buf() };
    let mut rows = vec![
        bench.sequential_component_steps()?,
        bench.cost_per_step_does_not_grow()?,
        bench.run_steps()?,
        bench.log_lines()?,
        bench.hello()?,
    ];
    rows.extend(bench.large_components()?);
    rows.extend(served()?);
    Ok(rows)
}

/// What a server does: the measurement prints rows itself.
fn served() -> Outcome<Vec<Row>> {
    say("a server, its own agent and 200 simulated ones");
    let output = cargo(&["bench", "--quiet", "--profile", "dev", "--workspace", "--bench", "served", "--"])
        .arg(root().join("tests/guests/noop/plugin.wasm"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("could not measure the server: {error}"))?;
    if !output.status.success() {
        return Err(format!("measuring the server ended with {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| line.contains('\t'))
        .map(|line| {
            let words: Vec<String> = line.split('\t').map(str::to_owned).collect();
            let [what, ours, floor, ratio, wanted, met] =
                <[String; 6]>::try_from(words).map_err(|_| format!("not a row of six: {line}"))?;
            Ok(Row { what, ours, floor, ratio, wanted, met: met == "yes" })
        })
        .collect()
}

struct Bench {
    place: PathBuf,
}

impl Bench {
    fn sequential_component_steps(&self) -> Outcome<Row> {
        say("1,000 no-op component steps against 1,000 recipes of make");
        let project = self.project("noop-1000", &noop_pipeline(1000))?;
        self.oxide(&project)?;
        let make = self.makefile(1000)?;
        let (ours, theirs, ratio) = pairs(|| self.oxide(&project), || self.make(&make))?;
        Ok(Row {
            what: "1,000 no-op component steps, all stored".to_owned(),
            ours: show(ours),
            floor: format!("make, 1,000 × true: {}", show(theirs)),
            ratio: format!("{ratio:.2}"),
            wanted: "≤ 0.5 (aim 0.25)".to_owned(),
            met: ratio <= 0.5,
        })
    }

    fn cost_per_step_does_not_grow(&self) -> Outcome<Row> {
        say("per step: a run of 4,000 against runs of 100");
        let long = self.project("noop-4000", &noop_pipeline(4000))?;
        let short = self.project("noop-100", &noop_pipeline(100))?;
        self.oxide(&long)?;
        self.oxide(&short)?;
        let per_step = |project: &Path, steps: f64| -> Outcome<Duration> {
            self.oxide(project)?;
            let run = self.last_run_seconds(project)?;
            Ok(Duration::from_secs_f64(run / steps))
        };
        let (ours, theirs, ratio) = pairs(|| per_step(&long, 4000.0), || per_step(&short, 100.0))?;
        Ok(Row {
            what: "cost of a step in a run of 4,000".to_owned(),
            ours: show(ours),
            floor: format!("in a run of 100: {}", show(theirs)),
            ratio: format!("{ratio:.2}"),
            wanted: "≤ 1.1".to_owned(),
            met: ratio <= 1.1,
        })
    }

    fn run_steps(&self) -> Outcome<Row> {
        say("1,000 steps `run: true` on the host against 1,000 recipes of make");
        let project = self.project("run-1000", &run_pipeline(1000))?;
        self.oxide(&project)?;
        let make = self.makefile(1000)?;
        let (ours, theirs, ratio) = pairs(|| self.oxide(&project), || self.make(&make))?;
        Ok(Row {
            what: "1,000 steps `run: true` on the host".to_owned(),
            ours: show(ours),
            floor: format!("make, 1,000 × true: {}", show(theirs)),
            ratio: format!("{ratio:.2}"),
            wanted: "≤ 1.5".to_owned(),
            met: ratio <= 1.5,
        })
    }

    fn log_lines(&self) -> Outcome<Row> {
        say("1,000,000 log lines (100 MB) against writing them to a file");
        let text = "-".repeat(92);
        let seq = format!("seq -f '%07.0f {text}' 1 1000000");
        let pipeline = format!(
            "version: \"1\"\nname: lines\nstages:\n  a:\n    environment: host\n    steps:\n      - run: \"{seq}\"\n"
        );
        let project = self.project("lines", &pipeline)?;
        let file = self.place.join("lines.txt");
        let plain = || timed(Command::new("sh").arg("-c").arg(format!("{seq} > {}", file.display())));
        let (ours, theirs, ratio) = pairs(|| self.oxide(&project), plain)?;
        Ok(Row {
            what: "1,000,000 log lines (100 MB) of one step, stored".to_owned(),
            ours: show(ours),
            floor: format!("seq into a file: {}", show(theirs)),
            ratio: format!("{ratio:.2}"),
            wanted: "< 3 s".to_owned(),
            met: ours < Duration::from_secs(3),
        })
    }

    fn hello(&self) -> Outcome<Row> {
        say("`oxide run examples/hello`, warm, against running its command alone");
        let project = root().join("examples/hello");
        self.oxide(&project)?;
        let alone = || timed(Command::new("sh").args(["-e", "-c", "echo Hello"]));
        let (ours, theirs, ratio) = pairs(|| self.oxide(&project), alone)?;
        Ok(Row {
            what: "`oxide run examples/hello`, compiled code cached".to_owned(),
            ours: show(ours),
            floor: format!("sh -c echo: {}", show(theirs)),
            ratio: format!("{ratio:.1}"),
            wanted: "< 150 ms".to_owned(),
            met: ours < Duration::from_millis(150),
        })
    }

    /// The first use of a large component beside what its optimising compiler takes, and the second.
    fn large_components(&self) -> Outcome<Vec<Row>> {
        let missing = packages::ensure(&languages::PROGRAMS)?.join(", ");
        if !missing.is_empty() {
            say(&format!("SKIPPED: the rows of large components need {missing}"));
            return Ok(Vec::new());
        }
        let kinds = [
            (Language::StarlingMonkey, "JavaScript (StarlingMonkey, 12 MB)"),
            (Language::Python, "Python (18 MB)"),
            (Language::QuickJs, "JavaScript (QuickJS, 1.6 MB)"),
        ];
        let mut rows = Vec::new();
        for (language, name) in kinds {
            let component = languages::build(language)?;
            say(&format!("the first and the second use of a plugin in {name}"));
            let cache = self.place.join("compiled").join(name);
            let output = cargo(&["bench", "--quiet", "--profile", "dev", "--workspace"])
                .args(["--bench", "large_component", "--"])
                .args([oxide(), component, cache])
                .output()
                .map_err(|error| format!("could not measure {name}: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let times: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            let [first, optimised, second] = times[..] else {
                return Err(format!("could not measure {name}: {text}{}", String::from_utf8_lossy(&output.stderr)));
            };
            let millis = |millis: f64| show(Duration::from_secs_f64(millis / 1e3));
            rows.push(Row {
                what: format!("first use of a plugin in {name}"),
                ours: millis(first),
                floor: format!("Cranelift alone: {}", millis(optimised)),
                ratio: format!("{:.2}", first / optimised),
                wanted: "≤ 0.14, or < 3 s".to_owned(),
                met: first * 7.0 <= optimised || first < 3000.0,
            });
            rows.push(Row {
                what: format!("the same in the next process, {name}"),
                ours: millis(second),
                floor: format!("its first use: {}", millis(first)),
                ratio: format!("{:.4}", second / first),
                wanted: "< 50 ms".to_owned(),
                met: second < 50.0,
            });
        }
        Ok(rows)
    }

    fn project(&self, name: &str, pipeline: &str) -> Outcome<PathBuf> {
        let folder = self.place.join(name);
        let failed = |error: std::io::Error| format!("could not write the project {name}: {error}");
        fs::create_dir_all(&folder).map_err(failed)?;
        fs::write(folder.join("oxide.yaml"), pipeline).map_err(failed)?;
        fs::copy(root().join("tests/guests/noop/plugin.wasm"), folder.join("noop.wasm")).map_err(failed)?;
        Ok(folder)
    }

    fn oxide(&self, project: &Path) -> Outcome<Duration> {
        timed(Command::new(oxide()).arg("run").arg(project).env("OXIDE_DATA_DIR", self.place.join("data")))
    }

    /// How long the newest run took from its start to its end, as its record says.
    fn last_run_seconds(&self, project: &Path) -> Outcome<f64> {
        let output = Command::new(oxide())
            .args(["runs", "--json", "--limit", "1"])
            .current_dir(project)
            .env("OXIDE_DATA_DIR", self.place.join("data"))
            .output()
            .map_err(|error| format!("could not list the runs: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let millis = text.split("\"duration_ms\":").nth(1).map(|rest| rest.trim_start().split([',', '}', '\n']).next());
        let millis = millis.flatten().and_then(|number| number.trim().parse::<f64>().ok());
        millis.map(|millis| millis / 1000.0).ok_or_else(|| format!("no duration in {text}"))
    }

    fn makefile(&self, recipes: usize) -> Outcome<PathBuf> {
        let mut text = String::from(".PHONY: all\nall:\n");
        text.push_str(&"\t@true;\n".repeat(recipes));
        let file = self.place.join(format!("Makefile.{recipes}"));
        fs::write(&file, text).map_err(|error| format!("could not write a makefile: {error}"))?;
        Ok(file)
    }

    fn make(&self, file: &Path) -> Outcome<Duration> {
        timed(Command::new("make").arg("-s").arg("-f").arg(file))
    }
}

fn noop_pipeline(steps: usize) -> String {
    let head = "version: \"1\"\nname: noop\nstages:\n  a:\n    environment: host\n    steps:\n";
    format!("{head}{}", "      - uses: ./noop.wasm\n".repeat(steps))
}

fn run_pipeline(steps: usize) -> String {
    let head = "version: \"1\"\nname: run-true\nstages:\n  a:\n    environment: host\n    steps:\n";
    format!("{head}{}", "      - run: \"true\"\n".repeat(steps))
}

/// The wall time of a command that must succeed.
fn timed(command: &mut Command) -> Outcome<Duration> {
    let begin = Instant::now();
    succeed(command.stdout(Stdio::null()))?;
    Ok(begin.elapsed())
}

/// Measures both in turn; answers with both medians and the median of the ratios of the pairs.
fn pairs(
    mut ours: impl FnMut() -> Outcome<Duration>,
    mut theirs: impl FnMut() -> Outcome<Duration>,
) -> Outcome<(Duration, Duration, f64)> {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (one, other) = (ours()?, theirs()?);
        ratios.push(one.as_secs_f64() / other.as_secs_f64());
        a.push(one);
        b.push(other);
    }
    a.sort();
    b.sort();
    ratios.sort_by(f64::total_cmp);
    Ok((a[PAIRS / 2], b[PAIRS / 2], ratios[PAIRS / 2]))
}

fn show(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// The processor and how many of them.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{count} × {}", model.trim_start_matches(['\t', ' ', ':']))
}
