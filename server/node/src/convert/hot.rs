//! The operations of which there are most, made and written in one step by [`thornback_wire::hot`] instead of by way of messages, which took as much
//! time as deciding what to do about them. What that does not take goes by way of messages, as everything else does.

use bytes::Bytes;
use thornback_core::effect::{Message, Outcome, RunArg};
use thornback_core::input::{Arg, ArgValue, Op, Output};
use thornback_session::{SendError, Server};
use thornback_types::{ActorId, ObjectId, TaskId, Value};
use thornback_wire::hot::{self, Make};
use thornback_wire::v1::client_op;

/// What came in a frame.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Ready for the core.
    Core(Op),
    /// To be converted, or refused.
    Wire(Box<client_op::Op>),
}

impl Make for Taken {
    type Arg = Arg;
    type Output = Output;

    fn value(keyword: Bytes, value: Value) -> Arg {
        Arg { keyword, value: ArgValue::Value(value) }
    }

    fn reference(keyword: Bytes, object: ObjectId) -> Arg {
        Arg { keyword, value: ArgValue::Ref(object) }
    }

    fn output(value: Option<Value>) -> Output {
        value.map_or(Output::Stored, Output::Value)
    }

    fn submit(task: TaskId, declaration: u32, args: Vec<Arg>, parent: Option<TaskId>) -> Taken {
        Taken::Core(Op::Submit { task, declaration, args, parent })
    }

    fn call(task: TaskId, actor: ActorId, declaration: u32, args: Vec<Arg>, parent: Option<TaskId>) -> Taken {
        Taken::Core(Op::Call { task, actor, declaration, args, parent })
    }

    fn done(task: TaskId, attempt: u32, results: Vec<Output>, yielded: u64) -> Taken {
        Taken::Core(Op::Done { task, attempt, outcome: Ok(results), yielded })
    }

    fn refs(retain: Vec<ObjectId>, drop: Vec<ObjectId>) -> Taken {
        Taken::Core(Op::Refs { retain, drop })
    }

    fn other(op: client_op::Op) -> Taken {
        Taken::Wire(Box::new(op))
    }
}

/// Sends a message, if it is one of these; `None` if it is not.
pub(crate) fn send(to: &mut Server<Taken>, message: &Message) -> Option<Result<(), SendError>> {
    match message {
        Message::Completion { object, outcome: Outcome::Value(value) } => {
            Some(to.send_hot(&hot::Completion { object: *object, value }))
        }
        Message::Run(run) if run.setup.is_none() && run.args.iter().all(|arg| given(arg).is_some()) => {
            Some(to.send_hot(&hot::Run {
                task: run.task,
                attempt: run.attempt,
                declaration: run.declaration,
                args: run.args.iter().filter_map(given),
                actor: run.actor,
            }))
        }
        _ => None,
    }
}

/// Keyword and value of an argument that is a value.
fn given(arg: &RunArg) -> Option<(&[u8], &Value)> {
    match arg {
        RunArg::Given(Arg { keyword, value: ArgValue::Value(value) }) | RunArg::Value { keyword, value } => {
            Some((keyword, value))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use thornback_core::effect::Run;
    use thornback_types::Id;
    use thornback_wire::hot::Write;
    use thornback_wire::{Message as _, v1};

    use super::*;
    use crate::convert;

    fn values() -> Vec<Value> {
        use thornback_types::Format;
        let id = |byte| ObjectId(Id([byte; 16]));
        let mut values =
            vec![Value::default(), Value::nil(), Value::raw(vec![7; 127]), Value::raw(vec![7; 128])];
        let everything = Value::new(Format::Private, vec![1; 300])
            .with_buffers(vec![Bytes::new(), vec![2; 20_000].into()])
            .with_refs(vec![id(1), id(2)])
            .with_schema("sch\u{e9}ma");
        values.push(everything);
        values.push(Value::new(Format::Tensor, Bytes::new()).with_schema("<f8"));
        values.push(Value::new(Format::Arrow, Bytes::new()));
        values
    }

    #[test]
    fn what_is_written_by_hand_is_what_the_generated_code_writes() {
        let written = |op: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            op(&mut bytes);
            bytes
        };
        let wire = |message: Message| v1::ServerOp { op: Some(convert::message(message)) }.encode_to_vec();
        for value in values() {
            let object = ObjectId(Id([9; 16]));
            let by_hand = hot::Completion { object, value: &value };
            let bytes = written(&|to| by_hand.encode(to));
            assert_eq!(bytes.len(), by_hand.encoded_len());
            assert_eq!(bytes, wire(Message::Completion { object, outcome: Outcome::Value(value) }));
        }
        let arg = |keyword: &'static str, value: Value| RunArg::Value { keyword: keyword.into(), value };
        let all = || values().into_iter().zip(["", "k", "", "\u{e9}", "", "", "long keyword"]);
        for (attempt, declaration, actor, count) in [
            (1, 0, None, 0),
            (0, 127, None, 1),
            (300, 128, Some(ActorId(Id([4; 16]))), 3),
            (u32::MAX, u32::MAX, None, 7),
        ] {
            let args: Vec<RunArg> = all().take(count).map(|(value, keyword)| arg(keyword, value)).collect();
            let run = Run { task: TaskId(Id([8; 16])), attempt, declaration, args, actor, setup: None };
            let by_hand = hot::Run {
                task: run.task,
                attempt,
                declaration,
                args: run.args.iter().filter_map(given),
                actor,
            };
            let bytes = written(&|to| by_hand.encode(to));
            assert_eq!(bytes.len(), by_hand.encoded_len());
            let decoded = v1::ServerOp::decode(&bytes[..]).unwrap();
            assert_eq!(decoded.encode_to_vec(), wire(Message::Run(run)));
        }
    }
}
