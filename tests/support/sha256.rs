//! SHA-256 (FIPS 180-4), to know a recording that is not carried here.

/// The digest, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let primes: Vec<u64> = (2..312).filter(|&n| (2..n).all(|d| n % d != 0)).collect();
    let constants: Vec<u32> = primes[..64].iter().map(|&prime| fraction_of_root(prime, 3)).collect();
    let mut state: Vec<u32> = primes[..8].iter().map(|&prime| fraction_of_root(prime, 2)).collect();
    let mut message = bytes.to_vec();
    message.push(0x80);
    message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
    message.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut w: Vec<u32> = block.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
        for t in 16..64 {
            let small = |x: u32, a: u32, b: u32, shift: u32| x.rotate_right(a) ^ x.rotate_right(b) ^ (x >> shift);
            let sum = small(w[t - 2], 17, 19, 10).wrapping_add(w[t - 7]).wrapping_add(small(w[t - 15], 7, 18, 3));
            w.push(sum.wrapping_add(w[t - 16]));
        }
        let mut s = state.clone();
        for (k, w) in constants.iter().zip(w) {
            let large = |x: u32, a: u32, b: u32, c: u32| x.rotate_right(a) ^ x.rotate_right(b) ^ x.rotate_right(c);
            let choice = (s[4] & s[5]) ^ (!s[4] & s[6]);
            let majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            let first = [large(s[4], 6, 11, 25), choice, *k, w].iter().fold(s[7], |sum, &x| sum.wrapping_add(x));
            let second = large(s[0], 2, 13, 22).wrapping_add(majority);
            s = [first.wrapping_add(second), s[0], s[1], s[2], s[3].wrapping_add(first), s[4], s[5], s[6]].to_vec();
        }
        state.iter_mut().zip(s).for_each(|(total, x)| *total = total.wrapping_add(x));
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

/// The first 32 bits behind the point of the square or cube root.
fn fraction_of_root(number: u64, degree: u32) -> u32 {
    let (mut low, mut high) = (0u128, 1u128 << 36);
    // The largest x with x^degree <= number * 2^(32 degree).
    while high - low > 1 {
        let middle = (low + high) / 2;
        if middle.pow(degree) <= u128::from(number) << (32 * degree) { low = middle } else { high = middle }
    }
    low as u32
}

#[test]
fn the_standard_s_example() {
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
