//! RFC 9110 sections 5.6.7 and 6.6.1: dates.

use larder_http::Date;

use crate::kit::{WALL, date, stored};

/// RFC 9110 §5.6.7: three forms of a date are read, and nothing else
#[test]
fn only_the_three_forms_are_dates() {
    let read = |text: &str| Date::parse(text.as_bytes(), Date::from_unix(WALL)).map(Date::as_unix);
    let good = [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ];
    for text in good {
        assert_eq!(read(text), Some(WALL));
    }
    let bad = [
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "784111777",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun Nov 6 08:49:37 1994",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
    ];
    for text in bad {
        assert_eq!(read(text), None, "{text}");
    }
}

/// RFC 9111 §4.2: the case of a date's letters means nothing to a cache
#[test]
fn dates_are_read_in_any_case() {
    for text in [
        "SUN, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 NOV 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 gMT",
        "sunday, 06-nov-94 08:49:37 gmt",
        "sun nov  6 08:49:37 1994",
    ] {
        let read = Date::parse(text.as_bytes(), Date::from_unix(WALL));
        assert_eq!(read, Some(Date::from_unix(WALL)), "{text}");
    }
}

/// RFC 9110 §5.6.7: a year of two digits that would be more than 50 years ahead is of the past
#[test]
fn two_digits_of_a_year_are_of_the_nearest_century() {
    let in_2020 = Date::from_unix(1_577_836_800);
    let year = |digits: &str| {
        let text = format!("Monday, 01-Jan-{digits} 00:00:00 GMT");
        Date::parse(text.as_bytes(), in_2020).unwrap().to_string()[12..16].to_owned()
    };
    assert_eq!([year("70"), year("71"), year("94"), year("20")], ["2070", "1971", "1994", "2020"]);
}

/// RFC 9110 §5.6.7: an IMF-fixdate is written, and read back as the same second
#[test]
fn each_day_is_written_and_read_back() {
    for day in -719_162_i64..60_000 {
        let date = Date::from_unix(day * 86_400 + day.rem_euclid(86_400));
        assert_eq!(Date::parse(date.to_string().as_bytes(), date), Some(date));
    }
    assert_eq!(Date::from_unix(951_782_400).to_string(), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(Date::from_unix(i64::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(Date::from_unix(i64::MIN).to_string(), "Mon, 01 Jan 0001 00:00:00 GMT");
}

/// RFC 9110 §6.6.1: what comes without a Date gets the one at which it came
#[test]
fn a_missing_date_is_added_and_a_given_one_kept() {
    assert_eq!(stored("").headers()["date"].to_str().unwrap(), date(0));
    assert_eq!(stored("date: odd").headers()["date"], "odd");
}
