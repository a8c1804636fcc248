//! The ages at which a parcel is looked at: 32 steps, fine where parcels arrive, coarse where few are left.

/// How many steps of age there are.
pub const STEPS: usize = 32;

/// Where each step begins, in hours since the carrier took the parcel; the last has no end.
const FROM_HOURS: [i64; STEPS] = [
    0, 6, 12, 24, 36, 48, 60, 72, 84, 96, 120, 144, 168, 192, 216, 240, 264, 288, 336, 384, 432, 480, 528,
    600, 672, 744, 840, 960, 1080, 1200, 1440, 1620,
];

/// A parcel that is open for longer is given up: nothing more is learned of it. In minutes, 75 days.
pub const GIVEN_UP: i64 = 75 * 24 * 60;

/// Minutes from the beginning of a parcel to the beginning of `step`.
pub fn begins(step: usize) -> i64 {
    FROM_HOURS.get(step).map_or(i64::MAX, |h| h * 60)
}

/// The step of an age in minutes; ages below nothing are the first.
pub fn step(age: i64) -> usize {
    FROM_HOURS.partition_point(|h| h * 60 <= age).saturating_sub(1)
}

/// How long a step lasts, in hours; the last counts as long as the one before it.
pub fn hours(step: usize) -> f64 {
    let step = step.min(STEPS - 2);
    (FROM_HOURS[step + 1] - FROM_HOURS[step]) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_has_its_step() {
        for (hours, want) in
            [(-5, 0), (0, 0), (5, 0), (6, 1), (23, 2), (24, 3), (95, 8), (96, 9), (335, 17), (336, 18)]
        {
            assert_eq!(step(hours * 60), want, "{hours} h");
        }
        assert_eq!(step(i64::MAX), STEPS - 1);
        for s in 0..STEPS {
            assert_eq!(step(begins(s)), s);
            assert_eq!(step(begins(s + 1) - 1), s);
            assert!(hours(s) > 0.0);
        }
    }
}
