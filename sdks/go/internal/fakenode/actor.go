package fakenode

import (
	"slices"

	"thornback.dev/go/internal/pb"
	"thornback.dev/go/internal/wire"
)

// actor is an actor: a worker's session of its own, and the calls that wait for their arguments, in order for each caller.
type actor struct {
	id      wire.ID
	class   string
	options *pb.ActorOptions
	on      *conn
	alive   bool
	dead    *pb.Failure
	calls   []*task
	// Ends once its calls are over.
	ending bool
}

func (n *Node) createActor(c *conn, id wire.ID, declare *pb.Declare, args []*pb.Arg, options *pb.ActorOptions) *actor {
	a := &actor{id: id, class: declare.GetFunction(), options: options}
	n.actors[id] = a
	creation := &task{id: id, from: c, declare: declare, args: args, target: id, creates: a, attempt: 1, stored: map[wire.ID][]byte{}}
	switch {
	case declare == nil:
		a.dead = failure(codeActorDied, "the class was not declared")
	case len(n.functions) > 0 && n.functions[a.class] == nil:
		a.dead = failure(codeActorDied, "the worker of the test does not serve the class %q", a.class)
		a.dead.Cause = failure(codeFunctionNotFound, "the worker of the test does not serve the class %q", a.class)
	default:
		n.queue = append(n.queue, creation)
	}
	return a
}

// send sends calls to the actor's worker as far as their arguments are there. A call that waits holds up those of the same session behind it.
func (a *actor) send(n *Node) {
	if !a.alive || a.dead != nil {
		return
	}
	held := map[*conn]bool{}
	a.calls = slices.DeleteFunc(a.calls, func(t *task) bool {
		switch {
		case t.finished:
			return true
		case held[t.from]:
			return false
		case n.ready(t):
			n.run(a.on, t)
			return true
		}
		held[t.from] = true
		return t.finished
	})
	if a.ending && len(a.calls) == 0 && len(a.on.runs) == 0 {
		n.actorDied(a, failure(codeActorDied, "the actor was killed gracefully"))
	}
}

func (n *Node) actorDied(a *actor, f *pb.Failure) {
	if a.dead != nil {
		return
	}
	a.dead = f
	key := [2]string{a.options.GetNamespace(), a.options.GetName()}
	if n.names[key] == a {
		delete(n.names, key)
	}
	for _, t := range a.calls {
		n.finish(t, f)
	}
	a.calls = nil
}

func (n *Node) kill(kill *pb.Kill) {
	a := n.actors[idOf(kill.GetActor())]
	if a == nil || a.dead != nil {
		return
	}
	if kill.GetGraceful() {
		a.ending = true
		return
	}
	n.actorDied(a, failure(codeActorDied, "the actor was killed"))
	if a.on == nil {
		return
	}
	for _, t := range a.on.runs {
		if !t.finished {
			n.finish(t, a.dead)
		}
	}
	a.on.send(&pb.ServerOp{Op: &pb.ServerOp_Goodbye{Goodbye: &pb.Goodbye{}}})
}

// reply answers a control request.
func (c *conn) reply(request *pb.Request) {
	reply := c.node.answer(c, request)
	reply.Number = request.GetNumber()
	c.send(&pb.ServerOp{Op: &pb.ServerOp_Reply{Reply: reply}})
}

func refusal(code uint32, format string, args ...any) *pb.Reply {
	return &pb.Reply{Reply: &pb.Reply_Failure{Failure: failure(code, format, args...)}}
}

func (n *Node) answer(c *conn, request *pb.Request) *pb.Reply {
	done := &pb.Reply{Reply: &pb.Reply_Done{Done: &pb.Empty{}}}
	switch r := request.GetRequest().(type) {
	case *pb.Request_CreateActor:
		return n.createNamed(c, r.CreateActor)
	case *pb.Request_GetActor:
		a := n.names[[2]string{namespace(r.GetActor.GetNamespace()), r.GetActor.GetName()}]
		if a == nil {
			return refusal(codeActorNotFound, "no live actor is named %q", r.GetActor.GetName())
		}
		return &pb.Reply{Reply: &pb.Reply_Actor{Actor: a.info(true)}}
	case *pb.Request_ListActors:
		list := &pb.ActorList{}
		for _, a := range n.names {
			list.Actors = append(list.Actors, a.info(true))
		}
		return &pb.Reply{Reply: &pb.Reply_Actors{Actors: list}}
	case *pb.Request_CreatePlacementGroup:
		nothing := &pb.Value{Format: pb.Format_FORMAT_MSGPACK, Data: []byte{0xc0}}
		n.complete(idOf(r.CreatePlacementGroup.GetGroup()).WithIndex(1), nothing, nil, nil)
		return done
	case *pb.Request_RemovePlacementGroup:
		n.groups[idOf(r.RemovePlacementGroup.GetGroup())] = true
		return done
	case *pb.Request_DeclarePool:
		return done // Its command is not started: everything runs in this process.
	case *pb.Request_GetStatus:
		return &pb.Reply{Reply: &pb.Reply_Status{Status: &pb.Status{ServerVersion: "thornbacktest", Sessions: uint64(len(n.sessions)), Nodes: 1}}}
	case *pb.Request_ListState:
		return &pb.Reply{Reply: &pb.Reply_State{State: &pb.StateList{}}}
	}
	return refusal(codeUnknownOperation, "the node of the test does not know this request")
}

func namespace(name string) string {
	if name == "" {
		return "test"
	}
	return name
}

func (n *Node) createNamed(c *conn, r *pb.CreateNamedActor) *pb.Reply {
	options := r.GetOptions()
	options.Namespace = namespace(options.GetNamespace())
	key := [2]string{options.GetNamespace(), options.GetName()}
	if holder := n.names[key]; holder != nil {
		if !options.GetGetIfExists() {
			return refusal(codeNameTaken, "a live actor is named %q", options.GetName())
		}
		return &pb.Reply{Reply: &pb.Reply_Actor{Actor: holder.info(true)}}
	}
	a := n.createActor(c, idOf(r.GetActor()), c.declared[r.GetDeclaration()], r.GetArgs(), options)
	if a.dead == nil {
		n.names[key] = a
	}
	return &pb.Reply{Reply: &pb.Reply_Actor{Actor: a.info(false)}}
}

func (a *actor) info(existed bool) *pb.ActorInfo {
	state := "pending"
	if a.alive {
		state = "alive"
	}
	return &pb.ActorInfo{
		Actor: a.id[:], Name: a.options.GetName(), Namespace: a.options.GetNamespace(), State: state, ClassName: a.class, Interface: a.options.GetInterface(), Existed: existed,
	}
}
