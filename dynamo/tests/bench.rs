//! `dynamo bench`: what it says about servers that it starts by itself.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dynamo"))
        .arg("bench")
        .args(arguments)
        .output()
        .unwrap()
}

/// The results of the floor under a short load.
fn floor(arguments: &[&str]) -> (String, Value, String) {
    let directory = tempfile::tempdir().unwrap();
    let (json, svg) = (directory.path().join("json"), directory.path().join("svg"));
    let paths = [
        "--json",
        json.to_str().unwrap(),
        "--svg",
        svg.to_str().unwrap(),
    ];
    let short = [
        "floor",
        "--seconds",
        "1",
        "--warm-up",
        "0",
        "--clients",
        "6",
        "--keys",
        "100",
    ];
    let output = bench(&[&short, arguments, &paths].concat());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    (
        String::from_utf8(output.stdout).unwrap(),
        serde_json::from_slice(&fs::read(json).unwrap()).unwrap(),
        fs::read_to_string(svg).unwrap(),
    )
}

#[test]
fn a_closed_loop_counts_what_was_answered_and_what_it_cost() {
    let (text, json, svg) = floor(&["--mix", "get=1,put=1", "--skew", "zipf=0.9"]);
    let done = |kind: &str| json["kinds"][kind]["done"].as_u64().unwrap();
    assert!(done("get") > 0 && done("put") > 0);
    assert_eq!(done("all"), done("get") + done("put"));
    let seconds = json["done_in_each_second"].as_array().unwrap();
    let in_seconds: u64 = seconds.iter().map(|it| it.as_u64().unwrap()).sum();
    assert_eq!(in_seconds, done("all"));
    for kind in ["get", "put"] {
        let of = |name: &str| json["kinds"][kind][name].as_f64().unwrap();
        assert!(of("p50_us") > 0.0 && of("p50_us") <= of("p99_us"));
        assert!(of("p99_us") <= of("p99.9_us") && of("p99.9_us") <= of("max_us"));
    }
    assert_eq!(json["processes"].as_array().unwrap().len(), 3);
    assert!(json["errors"].as_object().unwrap().is_empty());
    assert!(text.contains("server CPU per operation"));
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<polyline").count(), 2);
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let (_, json, _) = floor(&["--rate", "500", "--mix", "put=1"]);
    let done = json["kinds"]["put"]["done"].as_f64().unwrap();
    let meant = 500.0 * json["seconds"].as_f64().unwrap();
    assert!(
        (meant / 4.0..=meant + 1.0).contains(&done),
        "{done} of {meant}"
    );
}

#[test]
fn what_makes_no_sense_is_said_so() {
    for (arguments, reason) in [
        (&["--mix", "fetch=1"][..], "shares of get, put and delete"),
        (&["--skew", "zipf=2"], "S above 0 and below 1"),
        (&["--protocol", "native"], "--cluster"),
        (&["--host", "127.0.0.1:1"], "no connection to 127.0.0.1:1"),
    ] {
        let output = bench(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && errors.contains(reason),
            "{errors}"
        );
    }
}
