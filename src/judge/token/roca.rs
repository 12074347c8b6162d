//! RSA moduli that anybody can factor: those with a small factor, and those of CVE-2017-15361 (ROCA).
//!
//! Infineon's RSALib made primes of the form `k * M + (65537^a mod M)`, where M is the product of the first primes. A modulus
//! made of two of them is a power of 65537 modulo M, hence modulo every prime up to 167 (M of every key size contains those), and
//! with *one* exponent for all of them. Source: Nemec, Sys, Svenda, Klinec, Matyas, "The Return of Coppersmith's Attack",
//! CCS 2017, section 4, <https://crocs.fi.muni.cz/public/papers/rsa_ccs17>.
//!
//! The widespread test that only looks at each prime by itself also flags one good key in 2^28; the common exponent makes it one
//! in 2^155. No big numbers are needed: remainders are taken byte by byte, exponents are compared pair by pair.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "every number is at most 167 * 256, and no divisor is 0"
)]

/// The smallest prime up to 167 that divides it. The primes of a fit key have hundreds of digits.
pub(super) fn small_factor(modulus: &[u8]) -> Option<u32> {
    PRIMES
        .into_iter()
        .find(|&prime| remainder(modulus, prime) == 0)
}

/// Whether a big-endian modulus was made by Infineon's RSALib.
pub(super) fn has_fingerprint(modulus: &[u8]) -> bool {
    is_power_of_generator(PRIMES.map(|prime| remainder(modulus, prime)))
}

/// Whether one exponent turns the generator into each of these remainders.
fn is_power_of_generator(remainders: [u32; PRIMES.len()]) -> bool {
    let mut logarithms = Vec::with_capacity(PRIMES.len());
    for (prime, remainder) in PRIMES.into_iter().zip(remainders) {
        let powers = powers_of_generator(prime);
        let Some(exponent) = powers.iter().position(|power| *power == remainder) else {
            return false;
        };
        logarithms.push((exponent, powers.len()));
    }
    // An exponent is known modulo the order of its group; two agree if they do modulo what their orders share. Where all pairs
    // agree, one number satisfies all (the Chinese remainder theorem for moduli that share factors).
    logarithms.iter().all(|(one, order)| {
        logarithms
            .iter()
            .all(|(other, its_order)| one.abs_diff(*other) % shared(*order, *its_order) == 0)
    })
}

/// 65537^0, 65537^1 and so on modulo a prime, until they repeat.
fn powers_of_generator(prime: u32) -> Vec<u32> {
    let mut powers = vec![1];
    let mut power = GENERATOR % prime;
    while power != 1 {
        powers.push(power);
        power = power * (GENERATOR % prime) % prime;
    }
    powers
}

fn remainder(big_endian: &[u8], prime: u32) -> u32 {
    big_endian
        .iter()
        .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

/// Euclid's greatest common divisor.
const fn shared(mut one: usize, mut other: usize) -> usize {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

const GENERATOR: u32 = 65537;
const PRIMES: [u32; 39] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::KeyPair as _;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    /// Wycheproof, json_web_key_test.json, test 7.
    const ROCA_MODULUS: &str = "AanFpofbj7KjD4Lf-N2hVMKR7yewSyXhhbirIMTGpfYEhZ_lnt5UoK98DnKIgArXGTu3MaW_HhFw16HGaTDUHqPrId7fe4r11CqRw09yBFuW79V8sYIwHdzCaWflUI6auImYbVfoN9_nD5n8N8SY9DwXw7mwZM9wREPXoDPgOoIWl6q_MPsp7n0zs3Z5ZaiQWOOzl1S9OhwAfSiiOwz6efnXEaxuTEtPd7BjSx7NaFka8Dx9U7YqXy2RFj1O9PjyaDGuRh7YXsX3iMUSP_wSyHQg_c_qHRtKUsNSGCT7OZg0hzm2KphtjnayKJvC64vAbROBR4Ubg6Bxg9IQVZ-QYyE";

    fn roca_modulus() -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(ROCA_MODULUS).unwrap()
    }

    #[test]
    fn the_published_vulnerable_key_has_the_fingerprint() {
        assert!(has_fingerprint(&roca_modulus()));
        assert_eq!(small_factor(&roca_modulus()), None);
    }

    #[test]
    fn its_neighbours_do_not() {
        for added in 1..=50 {
            let mut modulus = roca_modulus();
            *modulus.last_mut().unwrap() ^= added;
            assert!(!has_fingerprint(&modulus), "{added}");
        }
    }

    #[test]
    fn keys_of_a_sound_library_are_not_flagged() {
        for _ in 0..4 {
            let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
            let modulus = pair.public_key().modulus();
            let modulus = modulus.big_endian_without_leading_zero();
            assert!(!has_fingerprint(modulus));
            assert_eq!(small_factor(modulus), None);
        }
    }

    #[test]
    fn each_prime_by_itself_is_not_enough() {
        let exponent_for = |exponents: fn(u32) -> usize| {
            PRIMES.map(|prime| {
                let powers = powers_of_generator(prime);
                powers[exponents(prime) % powers.len()]
            })
        };
        assert!(is_power_of_generator(exponent_for(|_| 123_456_789)));
        // Modulo 3 the exponent is odd, modulo 5 it is even: those are two exponents.
        let two_exponents = exponent_for(|prime| if prime == 3 { 5 } else { 4 });
        assert!(!is_power_of_generator(two_exponents));
    }

    #[test]
    fn the_group_has_the_published_order() {
        // `generator_order` of the authors' own detector, <https://github.com/crocs-muni/roca>.
        let order = PRIMES.iter().fold(1, |order: usize, prime| {
            let own = powers_of_generator(*prime).len();
            order / shared(order, own) * own
        });
        assert_eq!(order, 2_454_106_387_091_158_800);
    }

    #[test]
    fn small_factors_are_found() {
        assert_eq!(small_factor(&[0x01, 0x00]), Some(2));
        assert_eq!(small_factor(&[0x01, 0x01]), None, "257 is a prime");
        assert_eq!(small_factor(&[0x6c, 0xf1]), Some(167), "167 * 167");
    }
}
