// Command node is all programs of the tiny node that the tests of package docker run: PID 1 with its one service, the
// health check, the agent, and the few tools that the executor calls in a node. Its name says which one it is.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// version makes two builds differ.
var version = "none"

const (
	program = "/var/lib/hostctl/bin/node-agent"
	socket  = "/agent.sock"
	sick    = "/sick"
)

func main() {
	run := map[string]func([]string) error{
		"init": initialize, "healthy": healthy, "node-agent": agent, "s6-svc": svc, "sha256sum": sum, "mv": mv, "rm": rm, "touch": touch,
	}[filepath.Base(os.Args[0])]
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// initialize starts the agent whenever there is one, and again when it ended or a USR1 came.
func initialize([]string) error {
	if os.Getenv("MODE") == "exit" {
		return errors.New("the database can't be opened")
	}
	fmt.Println("node", version, "is up")
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	for {
		ended := make(chan struct{})
		service := exec.Command(program)
		service.Stdout, service.Stderr = os.Stdout, os.Stderr
		started := service.Start() == nil
		go func() {
			if started {
				service.Wait()
			}
			time.Sleep(50 * time.Millisecond) // a supervisor lets some time pass between two starts
			close(ended)
		}()
		select {
		case s := <-signals:
			if started {
				service.Process.Kill()
			}
			if s == syscall.SIGTERM {
				return nil
			}
			<-ended
		case <-ended:
		}
	}
}

func healthy([]string) error {
	if _, err := os.Stat(sick); err == nil || os.Getenv("MODE") == "sick" {
		return errors.New("the listener doesn't answer")
	}
	return nil
}

func agent(args []string) error {
	if len(args) == 1 && args[0] == "ping" {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		return c.Close()
	}
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		c.Close()
	}
}

// svc restarts the one service, whatever it is asked.
func svc([]string) error { return syscall.Kill(1, syscall.SIGUSR1) }

func sum(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	fmt.Printf("%x  %s\n", h.Sum(nil), args[0])
	return nil
}

func mv(args []string) error { return os.Rename(args[1], args[2]) }

func rm(args []string) error { return os.Remove(args[0]) }

func touch(args []string) error { return os.WriteFile(args[0], nil, 0o600) }
