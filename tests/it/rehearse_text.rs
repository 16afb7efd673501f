//! What a rehearsal prints, without what differs from run to run: so that the example in docs/ci.md can be held against a fresh run.

const BEGIN: &str = "<!-- rehearsal:begin -->";
const END: &str = "<!-- rehearsal:end -->";

/// The text of the fenced block between the markers.
pub(crate) fn example(readme: &str) -> Option<&str> {
    let (_, rest) = readme.split_once(BEGIN)?;
    let (block, _) = rest.split_once(END)?;
    let (_, fenced) = block.split_once("```")?;
    let (_, text) = fenced.split_once('\n')?;
    text.rsplit_once("```").map(|(text, _)| text)
}

/// The same for two runs of the same story: pids, times, bars and the scale are replaced, columns are single blanks.
pub(crate) fn normal(text: &str) -> String {
    text.lines().filter(|line| !is_scale(line)).map(|line| normal_line(line) + "\n").collect()
}

/// The line of times and the line of marks below it; how many there are depends on how long it took.
fn is_scale(line: &str) -> bool {
    let line = line.trim();
    let is_ruler = !line.is_empty() && line.chars().all(|character| matches!(character, '+' | '-'));
    is_ruler || line == "0" || line.starts_with("0  ")
}

fn normal_line(line: &str) -> String {
    let is_row = line.starts_with(' ');
    let mut words: Vec<String> = Vec::new();
    let mut has_bar = false;
    for word in line.split_whitespace() {
        let end = word.trim_end_matches([',', ';', ':', '.']).len();
        let (bare, punctuation) = word.split_at(end);
        if is_row && !has_bar && is_bar(bare) {
            has_bar = true;
            words.push("BAR".to_owned());
        } else if is_time(bare) {
            words.push(format!("TIME{punctuation}"));
        } else if is_pid(bare) {
            words.push(format!("(PID){punctuation}"));
        } else {
            words.push(word.to_owned());
        }
    }
    let indent = if is_row { " " } else { "" };
    format!("{indent}{}", words.join(" "))
}

/// `300ms`, `1.2s`, `1m30s`, `2h`.
fn is_time(word: &str) -> bool {
    let is_part = |character: char| character.is_ascii_digit() || matches!(character, '.' | 'h' | 'm' | 's');
    word.starts_with(|first: char| first.is_ascii_digit())
        && word.ends_with(['h', 'm', 's'])
        && word.chars().all(is_part)
}

/// `(7)`.
fn is_pid(word: &str) -> bool {
    let inner = word.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit()))
}

/// `---TERM====|`, or no more than `T`.
fn is_bar(word: &str) -> bool {
    let drawn = |c: char| {
        c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '|' | '=' | '#' | '>')
    };
    word.chars().all(drawn) && !word.chars().all(|digit| digit.is_ascii_digit())
}

#[test]
fn two_runs_of_one_story_read_the_same() {
    let one = "\
server: drainit began a stop after 1.0s; the stop took 1.9s
                0          500ms     1s        1.5s
                +----------+----------+----------+-----------+
pre-stop steps
 idle 8080      ====|                                          done in 200ms
processes
 server (7)     ----TERM================HUP===============|    exited with 0 at 1.9s
 worker (12)    ----T                                          died of TERM at 220ms
[-] before   [=] signalled   [#] after KILL   [|] end   [>] still there
passed: every process ended by itself 1.7s after TERM
advice: worker (12), worker (13) and 4 more needed 300ms more than server (7): tini, after 1m30s.
";
    let other = "\
server: drainit began a stop after 999ms; the stop took 12.0s
                 0     5s     10s
                 +-----+-------+---
pre-stop steps
 idle 8080       |                  done in 0ms
processes
 server (70001)  T=H==============| exited with 0 at 1m5s
 worker (2)      T                  died of TERM at 1.2s
[-] before   [=] signalled   [#] after KILL   [|] end   [>] still there
passed: every process ended by itself 12.0s after TERM
advice: worker (2), worker (99) and 4 more needed 1.0s more than server (70001): tini, after 3ms.
";
    let normal_form = "\
server: drainit began a stop after TIME; the stop took TIME
pre-stop steps
 idle 8080 BAR done in TIME
processes
 server (PID) BAR exited with 0 at TIME
 worker (PID) BAR died of TERM at TIME
[-] before [=] signalled [#] after KILL [|] end [>] still there
passed: every process ended by itself TIME after TERM
advice: worker (PID), worker (PID) and 4 more needed TIME more than server (PID): tini, after TIME.
";
    assert_eq!(normal(one), normal_form);
    assert_eq!(normal(other), normal_form);
    assert_eq!(normal(normal_form), normal_form, "it is a normal form");
    let another_end = normal(&one.replace("exited with 0", "exited with 1"));
    assert_ne!(another_end, normal_form, "what happened is not numbers");
}

#[test]
fn the_example_stands_between_its_markers() {
    let readme =
        format!("# x\n\n{BEGIN}\n```text\nserver: over\n server (7) T\n```\n{END}\n```\nother\n```\n");
    assert_eq!(example(&readme), Some("server: over\n server (7) T\n"));
    assert_eq!(example("no markers ```text\nx\n```"), None);
    assert_eq!(example(&format!("{BEGIN}\nno fence\n{END}")), None);
}
