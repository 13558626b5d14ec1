//! A house for the tests: workers with their events, and looks at processes from outside.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use thornback_types::WorkerId;
use thornback_workers::{Event, ExitStatus, Options, Source, Stream, WorkerCommand, Workers};
use tokio::sync::mpsc::Receiver;

pub struct House {
    pub workers: Workers,
    events: Receiver<Event>,
    // Seen while something else was waited for.
    seen: VecDeque<Event>,
}

impl House {
    pub fn new(options: Options) -> House {
        let (workers, events) = Workers::start(options).unwrap();
        House { workers, events, seen: VecDeque::new() }
    }

    /// The first event that fits, of those that came and come; others keep their order.
    pub async fn find<T>(&mut self, what: &str, fits: impl Fn(&Event) -> Option<T>) -> T {
        if let Some(at) = self.seen.iter().position(|event| fits(event).is_some()) {
            return fits(&self.seen.remove(at).unwrap()).unwrap();
        }
        loop {
            let event = tokio::time::timeout(Duration::from_secs(60), self.events.recv())
                .await
                .unwrap_or_else(|_| panic!("waited in vain for {what}; seen: {:#?}", self.seen))
                .expect("events end only after the workers are dropped");
            if let Some(found) = fits(&event) {
                return found;
            }
            self.seen.push_back(event);
        }
    }

    pub async fn started(&mut self, launch: u64) -> u32 {
        self.find(&format!("start of {launch}"), |event| match event {
            Event::Started { launch: WorkerId(found), pid } if *found == launch => Some(*pid),
            Event::StartFailed { launch: WorkerId(found), reason } if *found == launch => {
                panic!("{launch}: {reason}")
            }
            _ => None,
        })
        .await
    }

    pub async fn start_failed(&mut self, launch: u64) -> String {
        self.find(&format!("failed start of {launch}"), |event| match event {
            Event::StartFailed { launch: WorkerId(found), reason } if *found == launch => {
                Some(reason.clone())
            }
            Event::Started { launch: WorkerId(found), .. } if *found == launch => panic!("{launch} started"),
            _ => None,
        })
        .await
    }

    pub async fn exited(&mut self, launch: u64) -> (ExitStatus, String) {
        self.find(&format!("exit of {launch}"), |event| match event {
            Event::Exited { launch: WorkerId(found), status, last_words, .. } if *found == launch => {
                Some((*status, last_words.clone()))
            }
            _ => None,
        })
        .await
    }

    pub async fn line(&mut self, source: Source, stream: Stream) -> String {
        self.find(&format!("a line of {source:?}"), |event| match event {
            Event::Lines { source: from, stream: to, lines } if *from == source && *to == stream => {
                Some(lines.join("\n"))
            }
            _ => None,
        })
        .await
    }

    pub async fn ready(&mut self, template: u32) -> u32 {
        self.find("a warm template", |event| match event {
            Event::TemplateReady { template: found, pid } if *found == template => Some(*pid),
            Event::TemplateDied { reason, .. } => panic!("{reason}"),
            _ => None,
        })
        .await
    }

    pub async fn died(&mut self, template: u32) -> String {
        self.find("the end of a template", |event| match event {
            Event::TemplateDied { template: found, reason } if *found == template => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// Ends everything; nothing may be left.
    pub async fn shutdown(self) {
        assert_eq!(self.workers.shutdown().await, 0);
    }

    /// What has come and was not looked at.
    pub fn rest(&mut self) -> Vec<Event> {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push_back(event);
        }
        self.seen.drain(..).collect()
    }
}

pub fn sh(script: &str) -> WorkerCommand {
    WorkerCommand { program: "sh".into(), args: vec!["-c".into(), script.into()], ..WorkerCommand::default() }
}

pub fn template(mode: &str, child: &str) -> WorkerCommand {
    WorkerCommand {
        program: "python3".into(),
        args: vec![concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_template.py").into()],
        env: vec![("FAKE_MODE".into(), mode.into()), ("FAKE_CHILD".into(), child.into())],
        working_dir: None,
    }
}

pub fn worker(launch: u64) -> Source {
    Source::Worker(WorkerId(launch))
}

/// Whether the process is there and not a zombie.
pub fn lives(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

/// Waits for the end of a process of which no event tells.
pub async fn gone(pid: u32) {
    let wait = async {
        while lives(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap_or_else(|_| panic!("{pid} does not end"));
}

pub fn kill_9(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
