package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // a node has no time zones of its own

	"gopkg.in/yaml.v3"

	"hostctl/schema/schedule"
)

// CronJob is a program of a Webroot that runs at certain times, on one node of its shard.
type CronJob struct {
	Meta
	Webroot     string
	Schedule    string // as the package schedule reads it, one space between fields
	Timezone    string // name in the IANA time zone database
	Argv        []string
	Timeout     int // seconds
	Concurrency Concurrency
}

// Concurrency is what becomes of a run that is due while the one before still runs.
type Concurrency string

// The ways, as Kubernetes has them.
const (
	Forbid  Concurrency = "Forbid"  // it is left out
	Allow   Concurrency = "Allow"   // it runs beside the other
	Replace Concurrency = "Replace" // the other is ended, and it runs
)

const (
	defaultJobTimeout = time.Hour
	maxJobTimeout     = 24 * time.Hour
)

func decodeCronJob(d *decoder, spec *yaml.Node) any {
	d.mark("spec.webroot", child(spec, "webroot"))
	timeout := child(spec, "timeout")
	j := &CronJob{
		Webroot:     d.value(child(spec, "webroot"), CheckSlug),
		Schedule:    parsed(d, child(spec, "schedule"), ParseSchedule),
		Timezone:    d.value(child(spec, "timezone"), CheckTimezone),
		Timeout:     int(parsed(d, timeout, ParseDuration) / time.Second),
		Concurrency: Concurrency(d.plain(child(spec, "concurrency"))),
	}
	if j.Timezone == "" {
		j.Timezone = "UTC"
	}
	if j.Concurrency == "" {
		j.Concurrency = Forbid
	}
	switch {
	case timeout == nil:
		j.Timeout = int(defaultJobTimeout / time.Second)
	case j.Timeout > int(maxJobTimeout/time.Second):
		d.fail(timeout, "is longer than a day; what takes longer is a service's work, not a job's")
	}
	for i, word := range items(child(spec, "argv")) {
		check := checkWord
		if i == 0 {
			check = checkProgram
		}
		j.Argv = append(j.Argv, d.value(word, check))
	}
	return j
}

// ParseSchedule reads when a job is due, and returns it with one space between its fields.
func ParseSchedule(s string) (string, error) {
	if _, err := schedule.Parse(s); err != nil {
		return "", err
	}
	return strings.Join(strings.Fields(s), " "), nil
}

var timezonePattern = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*){0,2}$`)

// CheckTimezone accepts a name of the IANA time zone database.
func CheckTimezone(s string) error {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" || !timezonePattern.MatchString(s) {
		return fmt.Errorf("%q isn't a time zone; write UTC, or a name of the IANA time zone database such as Europe/Berlin", shorten(s))
	}
	return nil
}

// Check refuses what no CronJob can say.
func (j CronJob) Check() error {
	errs := []error{CheckCommand(j.Argv), CheckTimezone(j.Timezone)}
	if len(j.Argv) == 0 {
		errs = append(errs, errors.New("the job names no program"))
	}
	if normal, err := ParseSchedule(j.Schedule); err != nil {
		errs = append(errs, fmt.Errorf("the schedule %w", err))
	} else if normal != j.Schedule {
		errs = append(errs, fmt.Errorf("the schedule %q isn't written as it is kept", j.Schedule))
	}
	if j.Timeout < 1 || j.Timeout > int(maxJobTimeout/time.Second) {
		errs = append(errs, fmt.Errorf("a timeout of %d seconds is out of its range", j.Timeout))
	}
	switch j.Concurrency {
	case Forbid, Allow, Replace:
	default:
		errs = append(errs, fmt.Errorf("%q isn't a way to run beside each other", j.Concurrency))
	}
	return errors.Join(errs...)
}

// linkCronJobs resolves the sites of jobs.
func (c *catalog) linkCronJobs(orphans map[string]bool) {
	for _, d := range c.jobs.list {
		c.tenantOf(&d.origin, orphans)
		c.refer(&d.origin, "spec.webroot", KindWebroot, d.v.Webroot, find(&c.webroots, d.meta.Tenant, d.v.Webroot))
	}
}
