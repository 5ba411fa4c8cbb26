package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/caarlos0/env/v11"
)

// config is all that can be set. The first four must be.
type config struct {
	Node      string        `env:"HOSTCTL_NODE,required"`
	Role      string        `env:"HOSTCTL_ROLE,required"`
	Instance  string        `env:"HOSTCTL_INSTANCE,required"`
	Cluster   string        `env:"HOSTCTL_CLUSTER,required"`
	Listen    string        `env:"HOSTCTL_LISTEN" envDefault:":9443"`
	TLS       string        `env:"HOSTCTL_TLS" envDefault:"/etc/hostctl/tls"`   // folder of ca.crt, node.crt, node.key
	State     string        `env:"HOSTCTL_STATE" envDefault:"/var/lib/hostctl"` // folder of state.db and blobs
	Check     time.Duration `env:"HOSTCTL_CHECK_EVERY" envDefault:"1m"`         // between two looks at its own node
	LogFormat string        `env:"HOSTCTL_LOG_FORMAT" envDefault:"text"`        // or json
	LogLevel  string        `env:"HOSTCTL_LOG_LEVEL" envDefault:"info"`         // debug, info, warn, error
}

// socket is where the node itself asks its agent. Only root may open it.
const socket = "/run/hostctl/agent.sock"

func readConfig() (config, error) {
	var c config
	if err := env.Parse(&c); err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	if c.Check < time.Second {
		return c, fmt.Errorf("HOSTCTL_CHECK_EVERY: %s is less than a second", c.Check)
	}
	return c, nil
}

func (c config) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("HOSTCTL_LOG_LEVEL: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	switch c.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, fmt.Errorf("HOSTCTL_LOG_FORMAT: %q is neither text nor json", c.LogFormat)
}

// binary returns the SHA-256 of the running program, hex. /proc/self/exe is what runs, also after its file was replaced.
func binary() (string, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}
