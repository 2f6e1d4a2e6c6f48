// The largest of four pixels, for kernels over vectors of 16 lanes. Included after the vectors of an instruction set, which have
//   M                   a choice of lanes
//   m_wins(x, best)     lanes where x > best or x is NaN
//   m_word(m)           bit l: lane l is chosen
//   v_select(m, a, b)   a in the lanes of m, else b
//   v_where(m, x)       x in the lanes of m, else +0
//   v_unless(m, x)      +0 in the lanes of m, else x
#pragma once

// In which lanes the second, third and fourth pixel won over those before them. The last to win is the largest.
typedef struct {
    M second, third, fourth;
} Winners;

static INLINE V v_largest(V first, V second, V third, V fourth, Winners *winners) {
    winners->second = m_wins(second, first);
    V best = v_select(winners->second, second, first);
    winners->third = m_wins(third, best);
    best = v_select(winners->third, third, best);
    winners->fourth = m_wins(fourth, best);
    return v_select(winners->fourth, fourth, best);
}

// What each of four pixels is given of `rest`: the last to win takes all, and each hands on what it does not take.
static INLINE void v_shares(const Winners *winners, V rest, V shares[4]) {
    shares[3] = v_where(winners->fourth, rest);
    rest = v_unless(winners->fourth, rest);
    shares[2] = v_where(winners->third, rest);
    rest = v_unless(winners->third, rest);
    shares[1] = v_where(winners->second, rest);
    shares[0] = v_unless(winners->second, rest);
}

static INLINE tk_pool_winners winners_word(const Winners *winners) {
    return (tk_pool_winners)m_word(winners->second) | (tk_pool_winners)m_word(winners->third) << 16
        | (tk_pool_winners)m_word(winners->fourth) << 32;
}
