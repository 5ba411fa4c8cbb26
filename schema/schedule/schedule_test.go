package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"hostctl/schema/schedule"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// What comes next, and then, after a time in a zone.
func TestNext(t *testing.T) {
	for _, c := range []struct{ text, zone, after, want string }{
		{"* * * * *", "UTC", "2026-01-01 00:00:30", "2026-01-01T00:01:00Z 2026-01-01T00:02:00Z"},
		{"@daily", "UTC", "2026-02-28 12:00:00", "2026-03-01T00:00:00Z 2026-03-02T00:00:00Z"},
		{"*/20 8-9 * * mon-fri", "UTC", "2026-11-20 09:40:00", "2026-11-23T08:00:00Z 2026-11-23T08:20:00Z"},
		{"0 0 29 2 *", "UTC", "2096-03-01 00:00:00", "2104-02-29T00:00:00Z 2108-02-29T00:00:00Z"},
		{"0 12 13 * 5", "UTC", "2026-11-09 00:00:00", "2026-11-13T12:00:00Z 2026-11-20T12:00:00Z"},   // the 13th, and Fridays
		{"0 12 */13 * 5", "UTC", "2026-11-09 00:00:00", "2026-11-27T12:00:00Z 2027-01-01T12:00:00Z"}, // the 1st, 14th and 27th that are Fridays
		{"15 10 * * 7", "UTC", "2026-11-23 00:00:00", "2026-11-29T10:15:00Z 2026-12-06T10:15:00Z"},
		{"0 9 1 JAN,jul *", "America/New_York", "2026-06-01 00:00:00", "2026-07-01T09:00:00-04:00 2027-01-01T09:00:00-05:00"},
		// Clocks are set forward from 2 to 3 on 29 March 2026, and back from 3 to 2 on 25 October.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00"},
		{"0,30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29T03:00:00+02:00 2026-03-30T02:00:00+02:00"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", "2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00"},
		{"30 * * * *", "Europe/Berlin", "2026-03-29 00:45:00", "2026-03-29T01:30:00+01:00 2026-03-29T03:30:00+02:00"},
		{"30 * * * *", "Europe/Berlin", "2026-10-25 01:45:00", "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-25T03:30:00+01:00"},
		// Midnight itself is skipped, the last hour of a day exists again, half an hour is skipped, a whole day is.
		{"0 0 * * *", "America/Santiago", "2026-09-05 12:00:00", "2026-09-06T01:00:00-03:00 2026-09-07T00:00:00-03:00"},
		{"30 23 * * *", "America/Santiago", "2026-04-04 12:00:00", "2026-04-04T23:30:00-03:00 2026-04-05T23:30:00-04:00"},
		{"30 */23 * * *", "America/Santiago", "2026-04-04 12:00:00", "2026-04-04T23:30:00-03:00 2026-04-04T23:30:00-04:00 2026-04-05T00:30:00-04:00"},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00", "2026-10-04T02:30:00+11:00 2026-10-05T02:15:00+11:00"},
		{"0 12 * * *", "Pacific/Apia", "2011-12-29 00:00:00", "2011-12-29T12:00:00-10:00 2011-12-31T00:00:00+14:00 2011-12-31T12:00:00+14:00"},
		{"0 * * * *", "America/St_Johns", "2006-10-28 23:30:00", "2006-10-29T00:00:00-02:30 2006-10-29T00:00:00-03:30"},
	} {
		s, err := schedule.Parse(c.text)
		if err != nil {
			t.Error(err)
			continue
		}
		z := zone(t, c.zone)
		at, err := time.ParseInLocation(time.DateTime, c.after, z)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range strings.Fields(c.want) {
			at = s.Next(at, z)
			if got := at.Format(time.RFC3339); got != want {
				t.Errorf("%s in %s after %s: %s, want %s", c.text, c.zone, c.after, got, want)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "has 0 fields"},
		{"* * * *", "has 4 fields"},
		{"* * * * * *", "has 6 fields"},
		{"* * * * * root x", "has 7 fields"},
		{"61 * * * *", "the minute can't be \"61\""},
		{"* 24 * * *", "the hour can't be \"24\""},
		{"* * 0 * *", "the day of the month can't be \"0\""},
		{"* * * 13 *", "the month can't be \"13\""},
		{"* * * * 8", "the day of the week can't be \"8\""},
		{"*/0 * * * *", "has the step \"0\""},
		{"*/-1 * * * *", "has the step"},
		{"*/999 * * * *", "has the step"},
		{"5/10 * * * *", "write 5-59/10"},
		{"30-10 * * * *", "ends before it begins"},
		{"1- * * * *", "can't be \"\""},
		{"1,,2 * * * *", "can't be \"\""},
		{"**  * * * *", "can't be \"**\""},
		{"+1 * * * *", "can't be \"+1\""},
		{"0x1 * * * *", "can't be \"0x1\""},
		{"001 * * * *", "can't be \"001\""},
		{"? * * * *", "can't be \"?\""},
		{"0 0 L * *", "can't be \"L\""},
		{"0 0 * * 5#2", "can't be \"5#2\""},
		{"jan * * * *", "can't be \"jan\""},
		{"0 0 31 2,4 *", "never comes"},
		{"0 0 30 feb *", "never comes"},
		{"@reboot", "there are @hourly"},
		{"@every 5m", "there are @hourly"},
		{"@Daily", "there are @hourly"},
		{"* * * * *\n* * * * * root x", "line break"},
		{"*\t* * * *", "line break"},
		{"* * * * ＊", "isn't ASCII"},
		{strings.Repeat("1,", 200) + "1 * * * *", "characters"},
	} {
		if _, err := schedule.Parse(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want an error with %q", c.text, err, c.want)
		}
	}
}

// Where clocks aren't set, what comes next is the first minute that matches, and no other.
func TestNextIsTheFirstMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string, first, last int) string {
			low := rapid.IntRange(first, last).Draw(t, name)
			high := rapid.IntRange(low, last).Draw(t, name)
			step := rapid.IntRange(1, 20).Draw(t, name)
			return rapid.SampledFrom([]string{"*", fmt.Sprint(low), fmt.Sprintf("%d-%d", low, high), fmt.Sprintf("%d,%d", low, high), fmt.Sprintf("*/%d", min(step, last))}).Draw(t, name)
		}
		minute, hour, day, weekday := field("minute", 0, 59), field("hour", 0, 23), field("day", 1, 28), field("weekday", 0, 7)
		s, err := schedule.Parse(strings.Join([]string{minute, hour, day, "*", weekday}, " "))
		if err != nil {
			t.Fatal(err)
		}
		only := func(text string, at int) schedule.Schedule { // one field of the five
			words := strings.Fields("* * * * *")
			words[at] = text
			one, err := schedule.Parse(strings.Join(words, " "))
			if err != nil {
				t.Fatal(err)
			}
			return one
		}
		m, h, d, w := only(minute, 0), only(hour, 1), only(day, 2), only(weekday, 4)
		matches := func(at time.Time) bool {
			due := func(s schedule.Schedule) bool { return s.Next(at.Add(-time.Minute), time.UTC).Equal(at) }
			days := due(d) && due(w)
			if day[0] != '*' && weekday[0] != '*' {
				days = due(d) || due(w)
			}
			return due(m) && due(h) && days
		}
		after := time.Date(2026, 11, 1, 0, rapid.IntRange(0, 40*24*60).Draw(t, "after"), 0, 0, time.UTC)
		next := s.Next(after, time.UTC)
		if !next.After(after) || !matches(next) {
			t.Fatalf("after %v comes %v, which doesn't match", after, next)
		}
		for at := after.Add(time.Minute); at.Before(next) && at.Before(after.Add(3*time.Hour)); at = at.Add(time.Minute) {
			if matches(at) {
				t.Fatalf("after %v comes %v, and %v matches before", after, next, at)
			}
		}
	})
}

// Whatever is read has a next time, which comes after the one before, in every zone.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"* * * * *", "*/5 8-18 1,15 jan-mar mon", "@daily", "0 0 29 2 *", "59 23 31 12 7", "@reboot", "* * * * * root x"} {
		f.Add(text, int64(1774746000), "Europe/Berlin")
	}
	f.Add("0 0 29 2 1", int64(0), "America/Santiago")
	f.Fuzz(func(t *testing.T, text string, unix int64, name string) {
		s, err := schedule.Parse(text)
		z, zoneErr := time.LoadLocation(name)
		if err != nil || zoneErr != nil || unix < 0 || unix > 4e9 {
			return
		}
		after := time.Unix(unix, 0)
		next := s.Next(after, z)
		if !next.After(after) {
			t.Fatalf("%q in %s: after %v comes %v", text, name, after, next)
		}
		if again := s.Next(next.Add(-1), z); !again.Equal(next) {
			t.Fatalf("%q in %s: just before %v comes %v", text, name, next, again)
		}
	})
}
