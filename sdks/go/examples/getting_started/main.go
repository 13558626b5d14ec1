// The program of docs/guides/getting-started-go.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"strconv"
	"strings"

	thornback "thornback.dev/go"
)

func greet(name string) string { return "hello, " + name }

func countLetters(texts []string) int {
	n := 0
	for _, text := range texts {
		n += strings.Count(text, "") - 1
	}
	return n
}

type account struct{ balance int }

func newAccount(balance int) *account { return &account{balance} }

func (a *account) Deposit(amount int) int {
	a.balance += amount
	return a.balance
}

func sum(numbers *thornback.Tensor) (float64, error) {
	elements, err := thornback.Elements[float64](numbers)
	total := 0.0
	for _, e := range elements {
		total += e
	}
	return total, err
}

func halves(start float64) iter.Seq[float64] {
	return func(yield func(float64) bool) {
		for n := start / 2; ; n /= 2 {
			if !yield(n) || n <= 1 {
				return
			}
		}
	}
}

func parse(text string) (int, error) { return strconv.Atoi(text) }

func factorial(ctx context.Context, n int) (int, error) {
	if n == 0 {
		return 1, nil
	}
	client, _ := thornback.ClientFrom(ctx)
	task, err := thornback.NewTask[int](client, "factorial")
	if err != nil {
		return 0, err
	}
	ref, err := task.Submit(ctx, n-1)
	if err != nil {
		return 0, err
	}
	below, err := ref.Get(ctx)
	return n * below, err
}

func main() {
	ctx := context.Background()
	if thornback.IsWorker() {
		worker := thornback.NewWorker()
		worker.Register("greet", greet)
		worker.Register("count_letters", countLetters)
		worker.Register("sum", sum)
		worker.Register("halves", halves)
		worker.Register("parse", parse)
		worker.Register("factorial", factorial)
		worker.RegisterActor("Account", newAccount)
		if err := worker.Serve(ctx); err != nil {
			log.Fatal(err)
		}
		return
	}
	client, err := thornback.Local(ctx)
	check(err)
	defer client.Close()
	pool, err := thornback.ThisProgram("guide")
	check(err)
	check(client.DeclarePool(ctx, pool))

	first(ctx, client)
	many(ctx, client)
	state(ctx, client)
	data(ctx, client)
	stream(ctx, client)
	wrong(ctx, client)
	nested(ctx, client)
}

// check keeps the guide short; a program of yours would say more.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func first(ctx context.Context, client *thornback.Client) {
	greet, err := thornback.NewTask[string](client, "greet")
	check(err)
	ref, err := greet.Submit(ctx, "world")
	check(err)
	text, err := ref.Get(ctx)
	check(err)
	fmt.Println(text)
}

func many(ctx context.Context, client *thornback.Client) {
	greet, err := thornback.NewTask[string](client, "greet")
	check(err)
	var greetings []thornback.Ref[string]
	for word := range strings.FieldsSeq("a ref is a name for a value that is going to exist") {
		ref, err := greet.Submit(ctx, word)
		check(err)
		greetings = append(greetings, ref)
	}
	texts, err := thornback.GetAll(ctx, greetings)
	check(err)
	fmt.Println(len(texts), "greetings")

	count, err := thornback.NewTask[int](client, "count_letters")
	check(err)
	letters, err := count.Submit(ctx, texts)
	check(err)
	again, err := greet.Submit(ctx, greetings[4])
	check(err)
	n, err := letters.Get(ctx)
	check(err)
	text, err := again.Get(ctx)
	check(err)
	fmt.Println(n, "letters, and", text)
}

func state(ctx context.Context, client *thornback.Client) {
	class, err := thornback.NewClass(client, "Account")
	check(err)
	account, err := class.Create(ctx, 100)
	check(err)
	deposit, err := thornback.NewMethod[int](account, "deposit")
	check(err)
	var balances []thornback.Ref[int]
	for amount := 1; amount <= 3; amount++ {
		ref, err := deposit.Call(ctx, amount)
		check(err)
		balances = append(balances, ref)
	}
	values, err := thornback.GetAll(ctx, balances)
	check(err)
	fmt.Println(values)
}

func data(ctx context.Context, client *thornback.Client) {
	halfs := make([]float64, 1_000_000)
	for i := range halfs {
		halfs[i] = 0.5
	}
	tensor, err := thornback.NewTensor(halfs)
	check(err)
	numbers, err := thornback.Put(ctx, client, tensor)
	check(err)
	sum, err := thornback.NewTask[float64](client, "sum")
	check(err)
	once, err := sum.Submit(ctx, numbers)
	check(err)
	twice, err := sum.Submit(ctx, numbers)
	check(err)
	sums, err := thornback.GetAll(ctx, []thornback.Ref[float64]{once, twice})
	check(err)
	fmt.Println(sums[0], "and", sums[1])
}

func stream(ctx context.Context, client *thornback.Client) {
	halves, err := thornback.NewTask[float64](client, "halves")
	check(err)
	items, err := halves.Stream(ctx, 10.0)
	check(err)
	for half, err := range items.All(ctx) {
		check(err)
		fmt.Println(half)
	}
}

func wrong(ctx context.Context, client *thornback.Client) {
	parse, err := thornback.NewTask[int](client, "parse")
	check(err)
	ref, err := parse.Submit(ctx, "twelve")
	check(err)
	_, err = ref.Get(ctx)
	var failure *thornback.Error
	fmt.Println(errors.Is(err, thornback.CodeTaskFailed), errors.As(err, &failure))
	fmt.Println(failure.Message)
}

func nested(ctx context.Context, client *thornback.Client) {
	light, err := thornback.NewTask[int](client, "factorial", thornback.NumCPUs(0.25), thornback.MaxRetries(0))
	check(err)
	ref, err := light.Submit(ctx, 10)
	check(err)
	n, err := ref.Get(ctx)
	check(err)
	fmt.Println(n)
}
