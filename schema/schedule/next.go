package schedule

import (
	"slices"
	"time"
)

// horizon is how many days Next looks ahead: a 29th of February may be eight years away (1896, 1904), and one that is also
// of a certain weekday forty.
const horizon = 41 * 366

// Next returns the first time after another one at which a schedule is due in a time zone; the zero time where it never is.
//
// What is due at certain hours comes once a day, whatever clocks do: at a time that is skipped when they are set forward,
// it comes at the moment they are, and of one that exists twice when they are set back it comes at the first. What is due
// at any hour (the field begins with *) goes by the clock as it runs: nothing comes in a gap, and all comes twice in an hour
// that exists twice.
func (s Schedule) Next(after time.Time, zone *time.Location) time.Time {
	year, month, day := after.In(zone).Date()
	for i := -1; i <= horizon; i++ { // the day before, for its last hour may exist again after midnight
		d := time.Date(year, month, day+i, 0, 0, 0, 0, time.UTC)
		next := s.firstOn(d, after, zone)
		if next.IsZero() {
			continue
		}
		// A day's midnight may come before the last hour of the day before comes again.
		if early := s.firstOn(d.AddDate(0, 0, 1), after, zone); !early.IsZero() && early.Before(next) {
			return early
		}
		return next
	}
	return time.Time{}
}

// firstOn returns the first time on a day, which is given as its midnight in UTC; the zero time where there is none.
func (s Schedule) firstOn(day, after time.Time, zone *time.Location) time.Time {
	if !s.on(day) {
		return time.Time{}
	}
	spans := spansAround(day, zone)
	if len(spans) == 1 {
		return s.firstSteady(day.Add(-spans[0].offset), after, zone)
	}
	var first time.Time
	s.eachTime(func(hour, minute int) bool {
		for _, at := range s.moments(day.Add(time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute), spans) {
			if at.After(after) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
		return true
	})
	if first.IsZero() {
		return first
	}
	return first.In(zone)
}

// firstSteady returns the first time on a day that begins at a moment and on which clocks aren't set.
func (s Schedule) firstSteady(begin, after time.Time, zone *time.Location) (first time.Time) {
	s.eachTime(func(hour, minute int) bool {
		at := begin.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
		if at.After(after) {
			first = at.In(zone)
		}
		return first.IsZero()
	})
	return first
}

// eachTime calls fn with the times of a day in order, until it returns false.
func (s Schedule) eachTime(fn func(hour, minute int) bool) {
	for hour := range 24 {
		for minute := range 60 {
			if has(s.hours, hour) && has(s.minutes, minute) && !fn(hour, minute) {
				return
			}
		}
	}
}

// span is a time during which a zone's clocks aren't set.
type span struct {
	begin, end time.Time // the end isn't in it; zero: there is none
	offset     time.Duration
}

// around is how far a day's moments may be from the same times in UTC, with a day that a zone has left out for good.
const around = 48 * time.Hour

// spansAround returns the spans of a zone that a day may have part in: one on nearly all days.
func spansAround(day time.Time, zone *time.Location) []span {
	var spans []span
	for at := day.Add(-around); ; {
		_, offset := at.In(zone).Zone()
		begin, end := at.In(zone).ZoneBounds()
		spans = append(spans, span{begin, end, time.Duration(offset) * time.Second})
		if end.IsZero() || end.After(day.Add(24*time.Hour+around)) {
			return spans
		}
		at = end
	}
}

// moments returns when clocks show a time, given as that time in UTC: once, twice, or, in a gap, never; see Next for what
// then counts.
func (s Schedule) moments(shown time.Time, spans []span) []time.Time {
	var all []time.Time
	for _, p := range spans {
		if at := shown.Add(-p.offset); !at.Before(p.begin) && (p.end.IsZero() || at.Before(p.end)) {
			all = append(all, at)
		}
	}
	switch {
	case s.anyHour:
		return all
	case len(all) > 0:
		return []time.Time{slices.MinFunc(all, time.Time.Compare)}
	}
	for i := range len(spans) - 1 {
		end := spans[i].end
		if !shown.Add(-spans[i].offset).Before(end) && shown.Add(-spans[i+1].offset).Before(end) {
			return []time.Time{end}
		}
	}
	return nil
}
