//! docs/recipes.md: each recipe is one that a program test runs, or says that it has none; and no program test is without its recipe.

use crate::docs::read;
use crate::programs::catalog::{Case, PROGRAMS};

const FILE: &str = "docs/recipes.md";
const TESTED: &str = "Program test: ";
const UNTESTED: &str = "No program test";

/// A line of the page that begins with drainit: its options, and what is said below it.
struct Recipe {
    options: Vec<String>,
    said: String,
}

fn recipes() -> Vec<Recipe> {
    let page = read(FILE);
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```\n"));
    let recipes = blocks.filter(|(block, _)| block.starts_with("drainit ")).map(|(block, below)| {
        let words = shlex::split(block).unwrap_or_else(|| panic!("no shell reads {block}"));
        let options = words.into_iter().skip(1).take_while(|word| word != "--");
        let said = below.trim_start().lines().next().unwrap_or_default();
        Recipe { options: options.collect(), said: said.to_owned() }
    });
    recipes.collect()
}

/// Without the grace period, which is the runtime's affair, and with the test's port.
fn comparable(options: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--grace-period" => drop(words.next()),
            "--pre-stop-idle" => {
                kept.extend([word.clone(), "@PORT@".to_owned()]);
                words.next();
            }
            _ => kept.push(word.clone()),
        }
    }
    kept
}

fn tested(case: &Case) -> Vec<String> {
    case.options.iter().map(|option| option.replace("-c @FOLDER@/nginx.conf ", "")).collect()
}

/// The name behind the words.
fn program(said: &str) -> Option<&str> {
    said.strip_prefix(TESTED)?.split('`').nth(1)
}

#[test]
fn each_recipe_has_its_program_test_or_says_that_it_has_none() {
    let recipes = recipes();
    assert!(recipes.len() > 20, "{}", recipes.len());
    for Recipe { options, said } in recipes {
        let Some(name) = program(&said) else {
            assert!(said.starts_with(UNTESTED), "{options:?}: {said:?} says nothing of a test");
            continue;
        };
        let program = PROGRAMS.iter().find(|program| program.name == name);
        let program = program.unwrap_or_else(|| panic!("{name} is no program of the tests"));
        let is_run = program.cases.iter().any(|case| tested(case) == comparable(&options));
        assert!(is_run, "no test runs {name} with {options:?}");
    }
}

#[test]
fn each_program_test_is_a_recipe() {
    let recipes = recipes();
    for tested_program in PROGRAMS {
        for case in tested_program.cases {
            let is_it = |recipe: &Recipe| {
                program(&recipe.said) == Some(tested_program.name)
                    && comparable(&recipe.options) == tested(case)
            };
            assert!(recipes.iter().any(is_it), "{}: {:?} is no recipe", tested_program.name, case.options);
        }
    }
}
