//! The README's table of real programs: what docs/measures.md has row by row, with programs of the same fate in one row.

use crate::docs::{cells, code_lines, read};
use crate::generated::part_is_current;

const MEASURES: &str = "docs/measures.md";
const HEAD: &str = "| command | in flight |";

/// A measured row in which TERM was the stop.
struct Row {
    label: String,
    /// The signal that came before it, if any.
    before: Option<String>,
    option: Option<String>,
    /// For each init whether the work was finished, each time.
    fates: Vec<bool>,
}

/// `nginx` of `nginx -g 'daemon off;'`; what stands behind a shell stays as it is.
fn label(command: &str) -> String {
    let inner = command.split('`').nth(1).expect("the command is code");
    if inner.starts_with("sh -c") {
        return inner.to_owned();
    }
    inner.split(' ').take_while(|word| !word.starts_with('-')).collect::<Vec<_>>().join(" ")
}

fn rows() -> Vec<Row> {
    let rows = cells(MEASURES, HEAD).into_iter().filter(|cells| cells[2].ends_with("TERM"));
    let rows = rows.map(|cells| Row {
        label: label(&cells[0]),
        before: cells[2].strip_suffix(", TERM").map(str::to_owned),
        option: cells[3]
            .trim_matches('`')
            .split(' ')
            .next()
            .filter(|word| word.starts_with('-'))
            .map(str::to_owned),
        fates: cells[4..].iter().map(|cell| cell.contains("finished") && !cell.contains("lost")).collect(),
    });
    rows.collect()
}

fn table() -> String {
    let rows = rows();
    let text = read(MEASURES);
    let head = text.lines().find(|line| line.starts_with(HEAD)).expect("the table is there");
    let inits: Vec<&str> = head.trim_matches('|').split('|').skip(4).map(str::trim).collect();
    let mut groups: Vec<(Vec<bool>, Vec<String>)> = Vec::new();
    for row in &rows {
        let after = row.before.as_ref().map(|signal| format!(" after {signal}")).unwrap_or_default();
        let is_alone = rows.iter().all(|other| other.label != row.label || other.fates == row.fates);
        let name = match &row.option {
            Some(option) if !is_alone => format!("`{}` with `{option}`", row.label),
            Some(_) | None => format!("`{}`{after}", row.label),
        };
        match groups.iter_mut().find(|(fates, _)| *fates == row.fates) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => groups.push((row.fates.clone(), vec![name])),
        }
    }
    groups.sort_by_key(|(fates, _)| fates.iter().filter(|&&finished| finished).count());
    let mut table = format!("| | {} |\n|---|{}\n", inits.join(" | "), "---|".repeat(inits.len()));
    for (fates, names) in groups {
        let fates: Vec<&str> = fates.iter().map(|&finished| if finished { "✓" } else { "–" }).collect();
        table.push_str(&format!("| {} | {} |\n", names.join(", "), fates.join(" | ")));
    }
    table
}

#[test]
fn the_short_table_of_programs_is_current() {
    assert!(rows().len() > 15, "{}", rows().len());
    part_is_current("README.md", "summary", &table());
}

/// An image is shown as an example has it.
#[test]
fn the_dockerfile_in_the_readme_is_an_example() {
    let example = read("examples/docker/python/Dockerfile");
    for line in code_lines(&read("README.md"), "dockerfile") {
        assert!(example.lines().any(|known| known == line), "the example has no {line:?}");
    }
}
