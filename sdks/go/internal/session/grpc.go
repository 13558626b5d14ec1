package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	connectMethod = "/thornback.v1.Session/Connect"
	// gRPC counts its own 5 bytes to none of these; a little room keeps the limit ours.
	grpcMessageBytes = DefaultFrameBytes + 1024
	// How long a server may take to end a stream that this side has ended.
	closeTimeout = time.Second
)

// grpcCarrier is a bidirectional stream of gRPC: the carrier that works between any two machines.
type grpcCarrier struct {
	conn   *grpc.ClientConn
	stream grpc.ClientStream
	cancel context.CancelFunc
	limit  uint64
	close  sync.Once
}

// DialGRPC connects to HOST:PORT.
func DialGRPC(ctx context.Context, target, token string) (Carrier, error) {
	conn, err := grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodec(rawCodec{}),
			grpc.MaxCallRecvMsgSize(grpcMessageBytes),
			grpc.MaxCallSendMsgSize(grpcMessageBytes),
		),
		grpc.WithInitialWindowSize(8<<20),
		grpc.WithInitialConnWindowSize(16<<20),
	)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.Background())
	if token != "" {
		life = metadata.AppendToOutgoingContext(life, "authorization", "Bearer "+token)
	}
	// The stream outlives ctx, which is for connecting only.
	stop := context.AfterFunc(ctx, cancel)
	stream, err := conn.NewStream(life, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, connectMethod)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		conn.Close()
		return nil, fmt.Errorf("%s does not answer: %w", target, err)
	}
	return &grpcCarrier{conn: conn, stream: stream, cancel: cancel, limit: DefaultFrameBytes}, nil
}

func (c *grpcCarrier) Limit(frameBytes uint64) { c.limit = frameBytes }
func (c *grpcCarrier) SharedMemory() bool      { return false }
func (c *grpcCarrier) Descriptor() *os.File    { return nil }

func (c *grpcCarrier) Receive(take func(body []byte) error) error {
	var body []byte
	if err := c.stream.RecvMsg(&body); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the node ended the stream")
		}
		if status.Code(err) == codes.Unauthenticated {
			return endError(codeUnauthenticated, "%s", status.Convert(err).Message())
		}
		return err
	}
	if uint64(len(body)) > c.limit {
		return errFrameTooLarge
	}
	return take(body)
}

func (c *grpcCarrier) Send(frame []byte) error {
	body := frame[prefixBytes:]
	return c.stream.SendMsg(&body)
}

func (c *grpcCarrier) Close() {
	c.close.Do(func() {
		// What was sent last, a goodbye above all, goes out before the stream is cut: the transport writes in order, and the server answers
		// the half-close by ending the stream.
		if c.stream.CloseSend() == nil {
			go func() {
				select {
				case <-c.stream.Context().Done():
				case <-time.After(closeTimeout):
				}
				c.cancel()
				c.conn.Close()
			}()
			return
		}
		c.cancel()
		c.conn.Close()
	})
}

// rawCodec passes frames through: the session has encoded them already.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	body, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a frame is bytes, not %T", v)
	}
	return *body, nil
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	body, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a frame is bytes, not %T", v)
	}
	// The buffer belongs to gRPC.
	*body = append((*body)[:0], data...)
	return nil
}
