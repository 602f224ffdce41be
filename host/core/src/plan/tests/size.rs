//! Pipelines that would keep a planner busy, or fill its memory.

use std::{fmt::Write as _, time::Instant};

use super::{mistakes, of_steps, plan};

#[test]
fn the_jobs_of_a_run_have_so_many_steps_and_so_much_text() {
    let numbers: Vec<String> = (0..64).map(|number| number.to_string()).collect();
    let matrix = format!("matrix: {{ a: [{}], b: [1, 2, 3, 4] }}", numbers.join(", "));
    let stage = |env: &str, steps: &str| {
        format!("stages:\n  s:\n    environment: host\n    {matrix}\n    env: {{ A: \"{env}\" }}\n    steps:\n{steps}")
    };
    let step = "      - run: make\n";
    assert_eq!(plan(&stage("", &step.repeat(100))).jobs.len(), 256);
    let steps = mistakes(&stage("", &step.repeat(900)));
    assert!(steps.contains("the run grows too large with stage `s`: 256 jobs of 900 steps"), "{steps}");
    let text = mistakes(&stage(&"x".repeat(1_000_000), step));
    assert!(text.contains("256 jobs of 1 steps"), "{text}");
}

#[test]
fn many_expressions_take_no_longer_than_few_or_are_refused() {
    let begin = Instant::now();
    let line = format!("          echo ${{{{ 1 + 1 }}}} {}\n", "a".repeat(40));
    let script = format!("stages:\n  s:\n    environment: host\n    steps:\n      - run: |\n{}", line.repeat(130_000));
    assert_eq!(plan(&script).jobs.len(), 1);
    let mut distinct = "      - run: |\n".to_owned();
    for number in 0..25_000 {
        writeln!(distinct, "          echo ${{{{ 1 + {number} }}}}").unwrap();
    }
    assert!(of_steps(&distinct).contains("the pipeline has too many expressions"));
    let text =
        format!("      - uses: acme/greet\n        with: {{ name: \"{}\" }}\n", "${{ git.sha }}".repeat(600_000));
    assert!(of_steps(&text).contains("the pipeline has too many expressions"));
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}
