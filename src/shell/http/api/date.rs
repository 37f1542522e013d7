//! A moment of the wall clock, as JSON has it.

use std::fmt::Write;

use crate::vocabulary::time::WallTime;

/// `time` as RFC 3339 writes it, in UTC, to the millisecond.
pub(super) fn written(time: WallTime) -> String {
    let (seconds, thousandths) = (time.0 / 1_000, time.0 % 1_000);
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    // No clock of this century goes further, and a wild one must not keep us busy.
    while year < 9999 && days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{:02}T", days % 31 + 1);
    // Writing to a string cannot fail.
    let _ = write!(text, "{hour:02}:{minute:02}:{second:02}.{thousandths:03}Z");
    text
}

/// What [`written`] wrote; none of any other text.
pub(super) fn read(text: &str) -> Option<WallTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let thousandths = number(20, 23)?;
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    // Counted from March on, a year ends with its odd day, and months have 30.6 days.
    let (from_march, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days =
        from_march * 365 + leap_days(from_march) + (month * 153 + 2) / 5 + day.checked_sub(1)?;
    // Of the first of January 1970.
    let days = days.checked_sub(719_468)?;
    let time = WallTime(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1_000 + thousandths);
    (written(time) == text).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (1_764_012_123_456, "2025-11-24T19:22:03.456Z"),
        ] {
            assert_eq!(written(WallTime(milliseconds)), text);
            assert_eq!(read(text), Some(WallTime(milliseconds)));
        }
        for days in 0..60_000 {
            let time = WallTime(days * 86_400_000 + days);
            assert_eq!(read(&written(time)), Some(time));
        }
        for text in ["", "T1", "1969-12-31T23:59:59.999Z", "2025-13-01T00:00:00.000Z", "2025-11-24"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
