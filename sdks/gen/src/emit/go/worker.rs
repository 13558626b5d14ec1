//! The worker's side in Go: what it has to implement, and how that is registered.

use super::{Call, Go, Named};
use crate::model::Gives;

impl Go<'_> {
    pub(super) fn worker(&mut self, named: &Named) {
        let Named { interface, worker, serve, .. } = named;
        for actor in &named.actors {
            let about = format!("{} is what actors of the class {} do.", actor.worker, actor.actor.served);
            self.worker_interface(&actor.worker, &about, &actor.calls);
        }
        if !named.calls.is_empty() {
            let about = format!("{worker} is what serves {}.", interface.name);
            self.worker_interface(worker, &about, &named.calls);
        }
        let mut params = vec!["w *thornback.Worker".to_owned()];
        if !named.calls.is_empty() {
            params.push(format!("implementation {worker}"));
        }
        for actor in &named.actors {
            let (takes, _) = self.params(&actor.actor.constructor.params);
            let takes: Vec<String> = ["ctx context.Context".to_owned()].into_iter().chain(takes).collect();
            params.push(format!("{} func({}) ({}, error)", actor.param, takes.join(", "), actor.worker));
        }
        self.line(0, "");
        self.line(
            0,
            &format!("// {serve} registers what serves {}; Worker.Serve then serves it.", interface.name),
        );
        self.line(0, &format!("func {serve}({}) {{", params.join(", ")));
        for call in &named.calls {
            self.line(1, &format!("w.RegisterContract({}, implementation.{})", call.contract, call.method));
        }
        for actor in &named.actors {
            self.line(1, &format!("w.RegisterContractActor({}, {},", actor.contract, actor.param));
            for call in &actor.calls {
                self.line(
                    2,
                    &format!(
                        "thornback.ContractMethod{{Contract: {}, Fn: {}.{}}},",
                        call.contract, actor.worker, call.method
                    ),
                );
            }
            self.line(1, ")");
        }
        self.line(0, "}");
    }

    pub(super) fn worker_interface(&mut self, name: &str, about: &str, calls: &[Call]) {
        self.line(0, "");
        self.docs(0, about, "");
        if calls.is_empty() {
            return self.line(0, &format!("type {name} interface{{}}"));
        }
        self.line(0, &format!("type {name} interface {{"));
        for call in calls {
            self.comment(1, &call.function.docs);
            let (params, _) = self.params(&call.function.params);
            let declared: Vec<String> =
                ["ctx context.Context".to_owned()].into_iter().chain(params).collect();
            let gives = match &call.function.gives {
                Gives::Nothing => "error".to_owned(),
                Gives::Value(ty) => format!("({}, error)", self.ty(ty)),
                Gives::Stream(ty) => format!("iter.Seq2[{}, error]", self.ty(ty)),
            };
            self.line(1, &format!("{}({}) {gives}", call.method, declared.join(", ")));
        }
        self.line(0, "}");
    }
}
