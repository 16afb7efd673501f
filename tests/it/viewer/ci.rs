//! docs/ci.md: what it shows stands in the example, and the example's settings lead to a report that the page draws.

use super::page::Page;
use crate::docs;
use crate::harness::Init;

const EXAMPLE: &str = "examples/github/rehearsal-report.yml";

#[test]
fn what_the_page_on_ci_shows_stands_in_the_example() {
    let (example, text) = (docs::read(EXAMPLE), docs::read("docs/ci.md"));
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(shown.len() >= 8, "{shown:#?}");
    for line in shown {
        assert!(example.lines().any(|known| known == line), "the example has no {line:?}");
    }
    assert!(text.contains("](report-viewer.html)") && text.contains("](report.md)"));
    for picture in ["images/report-viewer.png", "images/report-viewer-dark.png"] {
        assert!(text.contains(picture) && docs::root().join("docs").join(picture).is_file(), "{picture}");
    }
}

/// The settings of the example's container: its variables, and which folder of the job it sees where.
fn settings(example: &str) -> (Vec<(String, String)>, (String, String)) {
    let (_, run) = example.split_once("docker run ").expect("it runs the image");
    let words = shlex::split(run.lines().next().unwrap_or_default()).expect("a shell reads it");
    let after =
        |flag: &str| words.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].clone()).collect();
    let pair = |text: &str, at: char| {
        let (name, value) = text.split_once(at).expect("two parts");
        (name.to_owned(), value.to_owned())
    };
    let variables: Vec<String> = after("--env");
    let volumes: Vec<String> = after("--volume");
    (variables.iter().map(|text| pair(text, '=')).collect(), pair(&volumes[0], ':'))
}

/// As the job does it, but for the image, and with less time before the stop.
#[test]
fn the_example_leads_to_a_picture() {
    let example = docs::read(EXAMPLE);
    let (variables, (outside, inside)) = settings(&example);
    let folder = outside.trim_start_matches("$PWD/");
    assert!(example.contains(&format!("mkdir --mode 777 {folder}\n")), "the job makes {folder}");
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["DRAINIT_REPORT", "DRAINIT_REHEARSE", "DRAINIT_GRACE_PERIOD"]);
    let Some(page) = Page::open() else { return };
    for (workload, code, verdict) in [
        ("name=main catch=TERM:100ms ready hold", 0, "passed"),
        ("name=main ignore=TERM ready hold", 124, "failed"),
    ] {
        let job = tempfile::tempdir().expect("a scratch folder");
        std::fs::create_dir(job.path().join(folder)).expect("our own folder");
        let mut init = Init::pid_one();
        for (name, value) in &variables {
            let value = match &**name {
                "DRAINIT_REHEARSE" => "500ms".to_owned(),
                _ => value.replace(&inside, &job.path().join(folder).display().to_string()),
            };
            init = init.env(name, value);
        }
        init.workload(workload).run().exits(code);
        // What the job keeps.
        let (_, kept) = example.split_once("path: ").expect("it keeps something");
        let kept = job.path().join(kept.lines().next().expect("a line"));
        page.close_all();
        page.choose(&[&kept]);
        assert_eq!(page.errors(), [""; 0]);
        assert_eq!(page.verdicts()[0].0, verdict);
        assert_eq!(page.texts(".report .file"), ["stop.json"]);
    }
    page.is_quiet();
}
