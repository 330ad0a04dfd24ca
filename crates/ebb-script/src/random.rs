//! `math.random` as Redis has it: the linear congruential generator of POSIX's `lrand48`, so
//! that a script that seeds it draws the same numbers on every machine.

/// A generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random(u64);

/// Numbers are below this.
const MAX: f64 = 0x7fff_ffff as f64;

impl Random {
    /// A generator with a seed, of which 32 bits count.
    pub(crate) fn new(seed: u32) -> Random {
        Random(u64::from(seed) << 16 | 0x330e)
    }

    /// The next number, of 31 bits.
    fn next(&mut self) -> u32 {
        const MULTIPLIER: u64 = 0x5_deec_e66d;
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & 0xffff_ffff_ffff;
        (self.0 >> 17) as u32
    }

    /// A number from 0 to below 1.
    fn fraction(&mut self) -> f64 {
        f64::from(self.next()) % MAX / MAX
    }

    /// `math.random` with its arguments. The error is Lua's text.
    pub(crate) fn draw(&mut self, bounds: &[f64]) -> Result<f64, &'static str> {
        let fraction = self.fraction();
        match *bounds {
            [] => Ok(fraction),
            [upper] if upper.trunc() < 1.0 => {
                Err("bad argument #1 to 'random' (interval is empty)")
            }
            [upper] => Ok((fraction * upper.trunc()).floor() + 1.0),
            [lower, upper] => {
                let (lower, upper) = (lower.trunc(), upper.trunc());
                if lower > upper {
                    return Err("bad argument #2 to 'random' (interval is empty)");
                }
                Ok((fraction * (upper - lower + 1.0)).floor() + lower)
            }
            _ => Err("wrong number of arguments"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_redis_draws() {
        let mut random = Random::new(5);
        let drawn = [random.draw(&[100.0]), random.draw(&[100.0])];
        assert_eq!(drawn, [Ok(53.0), Ok(28.0)]);
        assert!((random.draw(&[]).unwrap() - 0.7885994686692).abs() < 1e-12);
        let mut random = Random::new(10);
        assert_eq!(random.draw(&[1.0, 1000.0]), Ok(879.0));
        assert_eq!(random.draw(&[5.0]), Ok(4.0));
        assert!(random.draw(&[0.0]).is_err() && random.draw(&[2.0, 1.0]).is_err());
        assert!(random.draw(&[1.0, 2.0, 3.0]).is_err());
    }
}
