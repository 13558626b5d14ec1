package thornback

import (
	"context"

	"thornback.dev/go/internal/inside"
	"thornback.dev/go/internal/pb"
)

func init() {
	inside.Client = func(ctx context.Context, dial inside.Dial) (any, error) {
		l := newLink()
		l.onNotice = printNotice
		if err := l.open(ctx, dial, newHello(pb.Role_ROLE_DRIVER, "", "")); err != nil {
			return nil, err
		}
		l.sess.Start()
		return &Client{link: l, stop: func() {}}, nil
	}
	inside.Serve = func(ctx context.Context, worker any, dial inside.Dial) error {
		w, ok := worker.(*Worker)
		if !ok {
			return invalid("a %T is no worker", worker)
		}
		return w.serveOver(ctx, dial, newHello(pb.Role_ROLE_WORKER, "", ""))
	}
}
