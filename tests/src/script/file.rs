//! Scripts as text.

use std::fmt;

use super::cluster::Cluster;
use super::command::Command;

/// What is wrong with a script, or with what it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// In which line, counted from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

const RULE: &str = "----";

/// Runs a script. Returns it with the traces that its commands cause now.
pub fn rewrite(script: &str) -> Result<String, Error> {
    let mut cluster = None;
    let mut out = String::new();
    let mut lines = script.lines().zip(1..);
    if !script.starts_with("# ") {
        let what = "begins without saying what it shows".into();
        return Err(Error { line: 1, what });
    }
    while let Some((text, line)) = lines.next() {
        out.push_str(text);
        out.push('\n');
        if is_prose(text) {
            continue;
        }
        let mut trace = run(text, &mut cluster).map_err(|what| Error { line, what })?;
        let mut has_old_trace = false;
        for (text, line) in lines.by_ref() {
            if text.is_empty() {
                break;
            }
            has_old_trace |= text == RULE;
            if has_old_trace {
                continue;
            }
            out.push_str(text);
            out.push('\n');
            if !is_prose(text) {
                trace += &run(text, &mut cluster).map_err(|what| Error { line, what })?;
            }
        }
        if trace.is_empty() {
            trace.push_str("ok\n");
        }
        out.push_str(RULE);
        out.push('\n');
        out.push_str(&trace);
        out.push('\n');
    }
    if let Some(cluster) = cluster {
        let line = script.lines().count();
        cluster.check_end().map_err(|what| Error { line, what })?;
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    Ok(out)
}

fn is_prose(text: &str) -> bool {
    text.is_empty() || text.starts_with('#')
}

fn run(text: &str, cluster: &mut Option<Cluster>) -> Result<String, String> {
    let command = Command::parse(text)?;
    match (command, cluster) {
        (Command::Cluster(shape), empty @ None) => {
            let (cluster, trace) = Cluster::new(shape)?;
            *empty = Some(cluster);
            Ok(trace)
        }
        (Command::Cluster(_), Some(_)) => Err("there is a cluster already".into()),
        (_, None) => Err("there is no cluster yet".into()),
        (command, Some(cluster)) => cluster.run(command),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(commands: &str) -> String {
        rewrite(&format!("# Prose.\n\ncluster\n\n{commands}\n"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_script_run_twice_is_the_same() {
        let script = "# Prose.\n\ncluster\n\nput A cart tea blind\ndeliver\n";
        let once = rewrite(script).unwrap();
        assert!(once.contains("answer #1: done"), "{once}");
        assert_eq!(rewrite(&once).unwrap(), once);
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_line() {
        assert_eq!(
            rewrite("cluster\n").unwrap_err().to_string(),
            "1: begins without saying what it shows"
        );
        assert_eq!(fault("dance A"), "5: no such command: dance");
        assert_eq!(fault("cut A B\nheal now"), "6: not understood: now");
        assert_eq!(fault("get A cart x=1"), "5: not understood: x=1");
        assert_eq!(fault("get D cart"), "5: no node D");
        assert_eq!(
            fault("put A cart tea"),
            "5: say context=, blind or overwrite"
        );
        assert_eq!(
            fault("put A cart tea context=$no"),
            "5: no context $no was given"
        );
        assert_eq!(fault("deliver A->B"), "5: nothing waits on A->B");
        assert_eq!(fault("tick soon"), "5: not a length of time: soon");
    }

    #[test]
    fn a_request_without_an_answer_is_an_error() {
        assert_eq!(fault("put A cart tea blind"), "5: #1 was never answered");
    }
}
