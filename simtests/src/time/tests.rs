use super::*;

#[test]
fn a_clock_shows_a_reading_no_sooner_than_it_says() {
    for ppm in [-500_000, -200, -1, 0, 1, 200, 499_999] {
        let mut clock = Clock::new(5);
        clock.set_drift(SimTime::from_secs(3), ppm);
        for reading in [6, 4_000_000_000, 7_654_321_987, 90_000_000_000_000] {
            let at = clock.when(reading).unwrap();
            assert!(clock.reading(at) >= reading, "{ppm} ppm, {reading}");
            if at > SimTime::from_secs(3) {
                let before = SimTime::from_nanos(at.as_nanos() - 1);
                assert!(
                    clock.reading(before) < reading,
                    "{ppm} ppm, {reading}: {at} is late"
                );
            }
        }
    }
}

#[test]
fn a_clock_never_goes_back_whatever_is_done_to_it() {
    let mut clock = Clock::new(0);
    let mut last = 0;
    for step in 0..200_u64 {
        let now = SimTime::from_millis(step * 37);
        match step % 5 {
            0 => clock.set_drift(now, -200_000),
            1 => clock.set_frozen(now, true),
            2 => clock.jump(now, Duration::from_millis(step)),
            3 => clock.set_frozen(now, false),
            _ => clock.set_drift(now, 200),
        }
        let reading = clock.reading(now);
        assert!(reading >= last);
        last = reading;
    }
}

#[test]
fn a_frozen_clock_stands_and_goes_on_from_there() {
    let mut clock = Clock::new(0);
    clock.set_frozen(SimTime::from_secs(10), true);
    assert_eq!(clock.reading(SimTime::from_secs(20)), 10 * 1_000_000_000);
    assert_eq!(clock.when(11 * 1_000_000_000), None);
    clock.set_frozen(SimTime::from_secs(20), false);
    assert_eq!(clock.when(11 * 1_000_000_000), Some(SimTime::from_secs(21)));
}
