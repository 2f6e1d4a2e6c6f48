// The largest of four pixels, for kernels over vectors of 16 lanes. Included after the vectors of an instruction set, which have
//   M                   a choice of lanes
//   m_wins(x, best)     lanes where x > best or x is NaN
//   m_word(m)           bit l: lane l is chosen
//   v_select(m, a, b)   a in the lanes of m, else b
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

static INLINE tk_pool_winners winners_word(const Winners *winners) {
    return (tk_pool_winners)m_word(winners->second) | (tk_pool_winners)m_word(winners->third) << 16
        | (tk_pool_winners)m_word(winners->fourth) << 32;
}
