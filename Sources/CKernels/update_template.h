// How optimizers change parameters; included by dense_template.h, which says what it needs.

// Takes the step of 16 parameters; the largest magnitude of what it stores, and `magnitude`.
static INLINE U update_lanes(
    const tk_rule_kind kind, const tk_rule *rule, V g, float *values, float *state1, float *state2, U magnitude) {
    V w = v_load(values);
    if (kind != TK_ADAMW) g = v_fma(v_set1(rule->decay), w, g);
    switch (kind) {
    case TK_SGD:
        w = v_fma(v_set1(-rule->rate), g, w);
        break;
    case TK_MOMENTUM: {
        V s = v_add(v_fma(v_set1(rule->momentum), v_load(state1), g), v_zero());
        v_store(state1, s);
        magnitude = u_max(magnitude, s);
        w = v_fma(v_set1(-rule->rate), s, w);
        break;
    }
    case TK_NESTEROV: {
        V s = v_add(v_fma(v_set1(rule->momentum), v_load(state1), g), v_zero());
        v_store(state1, s);
        magnitude = u_max(magnitude, s);
        w = v_fma(v_set1(-rule->rate), v_fma(v_set1(rule->momentum), s, g), w);
        break;
    }
    case TK_RMSPROP:
    case TK_RMSPROP_MOMENTUM: {
        V s = v_mul(v_set1(rule->beta2), v_load(state1));
        s = v_add(v_fma(v_mul(v_set1(rule->complement2), g), g, s), v_zero());
        v_store(state1, s);
        magnitude = u_max(magnitude, s);
        V step = v_div(g, v_add(v_sqrt(s), v_set1(rule->epsilon)));
        if (kind == TK_RMSPROP_MOMENTUM) {
            step = v_add(v_fma(v_set1(rule->momentum), v_load(state2), step), v_zero());
            v_store(state2, step);
            magnitude = u_max(magnitude, step);
        }
        w = v_fma(v_set1(-rule->rate), step, w);
        break;
    }
    case TK_ADAM:
    case TK_ADAMW: {
        if (kind == TK_ADAMW) w = v_mul(v_set1(rule->decay), w);
        V s1 = v_load(state1);
        s1 = v_add(v_fma(v_set1(rule->complement1), v_sub(g, s1), s1), v_zero());
        V s2 = v_mul(v_set1(rule->beta2), v_load(state2));
        s2 = v_add(v_fma(v_mul(v_set1(rule->complement2), g), g, s2), v_zero());
        v_store(state1, s1);
        v_store(state2, s2);
        magnitude = u_max(u_max(magnitude, s1), s2);
        V divisor = v_fma(v_sqrt(s2), v_set1(rule->root), v_set1(rule->epsilon));
        w = v_sub(w, v_div(v_mul(v_set1(rule->rate), s1), divisor));
        break;
    }
    }
    v_store(values, v_add(w, v_zero()));
    return u_max(magnitude, w);
}

static INLINE tk_magnitude update_all(
    const tk_rule_kind kind, const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1,
    float *state2) {
    U magnitude = u_zero();
    for (size_t n = 0; n < count; n += TK_LANES) {
        magnitude =
            update_lanes(kind, rule, v_load(gradient + n), values + n, state1 + n, state2 + n, magnitude);
    }
    return u_result(magnitude);
}

tk_magnitude NAME(update)(
    const tk_rule *rule, size_t count, const float *gradient, float *values, float *state1, float *state2) {
    switch (rule->kind) {
    case TK_SGD: return update_all(TK_SGD, rule, count, gradient, values, values, values);
    case TK_MOMENTUM: return update_all(TK_MOMENTUM, rule, count, gradient, values, state1, state1);
    case TK_ADAM: return update_all(TK_ADAM, rule, count, gradient, values, state1, state2);
    case TK_NESTEROV: return update_all(TK_NESTEROV, rule, count, gradient, values, state1, state1);
    case TK_ADAMW: return update_all(TK_ADAMW, rule, count, gradient, values, state1, state2);
    case TK_RMSPROP: return update_all(TK_RMSPROP, rule, count, gradient, values, state1, state1);
    case TK_RMSPROP_MOMENTUM: return update_all(TK_RMSPROP_MOMENTUM, rule, count, gradient, values, state1, state2);
    }
    return 0;
}
