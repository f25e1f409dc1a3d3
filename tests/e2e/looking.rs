//! Commands that look: again and again, and as pictures.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::instances::Home;
use crate::pty::Pty;
use crate::support::texts;

#[test]
fn a_described_cluster_is_shown_again_when_it_changes() {
    let home = Home::new();
    home.ok("up -d --api-port 0 --workload-ports 29200-29299 --instant -c 2 --workers 1");
    let mut command = home.command("describe cluster demo-1 -w -o json --grouping=false");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = command.spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut shown = lines.map(|line| {
        let value: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let machines = value["rows"].as_array().unwrap().iter();
        machines.filter(|row| row["kind"] == "Machine").count()
    });
    assert_eq!(shown.next(), Some(2));
    home.ok("scale demo-1 --workers 3 --wait");
    assert!(shown.any(|machines| machines == 4));
    home.ok("delete cluster demo-1 --yes");
    shown.for_each(drop);
    let output = watching.wait_with_output().unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), "cluster \"demo-1\" is gone\n"));
    // Blocks for people: nothing is shown twice.
    let mut command = home.command("describe cluster demo-2 -w --show-conditions Cluster");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut watching = command.spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("NAME"), "{first}");
    home.ok("pause demo-2");
    home.ok("delete cluster demo-2 --yes");
    home.ok("resume demo-2");
    let all: Vec<String> = lines.map(Result::unwrap).collect();
    watching.wait().unwrap();
    let blocks: Vec<&[String]> = all.split(String::is_empty).collect();
    assert!(blocks.len() >= 2, "{all:?}");
    assert!(blocks[1..].iter().all(|block| block[0].starts_with("NAME")), "{all:?}");
    let is_paused = |line: &String| line.contains("Paused") && line.contains("True");
    assert!(all.iter().any(is_paused), "{all:?}");
    let error = home.fails("describe cluster nosuch -w", 4);
    assert!(error.starts_with("error[E030]: cluster \"nosuch\" not found"), "{error}");
}

#[test]
fn on_a_terminal_a_described_cluster_stays_in_its_place() {
    let home = Home::new();
    home.ok("up -d --api-port 0 --workload-ports 29300-29399 --instant -c 1 --workers 0");
    let command = home.command("describe cluster demo-1 --watch");
    let Some(mut pty) = Pty::start(&command, (100, 12)) else { return };
    pty.wait_for("demo-1-cp-");
    home.ok("delete cluster demo-1 --yes");
    assert_eq!(pty.ends().code(), Some(0));
    let output = pty.output();
    assert!(output.starts_with("\u{1b}[H") && output.contains("\u{1b}[K\r\n"), "{output:?}");
    assert!(output.ends_with("cluster \"demo-1\" is gone\r\n"), "{output:?}");
}

#[test]
fn a_timeline_is_a_picture_or_a_page() {
    let home = Home::new();
    home.ok("up -d --api-port 0 --workload-ports 29400-29499 --instant -c 1 --workers 1");
    let picture = home.ok("timeline demo-1 -o svg");
    assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{picture}");
    let machines = home.ok("get machines -o name");
    for machine in machines.lines().filter_map(|line| line.split('/').nth(1)) {
        assert!(picture.contains(&format!(">{machine}</text>")), "{machine}\n{picture}");
    }
    let page = home.ok("timeline -o html");
    assert!(page.starts_with("<!DOCTYPE html>\n") && page.contains("<th>demo-1</th>"), "{page}");
    assert_eq!(page.matches("<svg").count(), 1);
    assert!(!page.contains("<script") && !page.contains("src="), "{page}");
}
