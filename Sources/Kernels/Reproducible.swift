import CKernels

/// Elementary functions whose f64 results have the same bits on every machine, unlike those of the system's libm.
/// Schedules, initialisation and generated data use these only. Errors are below 2 ulp; results below 2⁻¹⁰²² are 0.
public enum Reproducible {
    public static func exp(_ x: Double) -> Double { tk_exp(x) }

    /// The natural logarithm; NaN below 0, −∞ at 0.
    public static func log(_ x: Double) -> Double { tk_log(x) }

    /// NaN for |x| > 2¹⁹.
    public static func cos(_ x: Double) -> Double { tk_cos(x) }

    /// NaN for |x| > 2¹⁹.
    public static func sin(_ x: Double) -> Double { tk_sin(x) }

    /// x to the power y; NaN for x < 0.
    public static func pow(_ x: Double, _ y: Double) -> Double { tk_pow(x, y) }

    /// The IEEE square root, which is exact everywhere.
    public static func sqrt(_ x: Double) -> Double { x.squareRoot() }

    /// A draw from the standard normal distribution (Box and Muller, 1958) from two uniform draws.
    /// - Precondition: both in 0..<1.
    public static func normal(_ first: Double, _ second: Double) -> Double {
        // 1 − first is in (0, 1], so that the logarithm is finite.
        sqrt(-2 * log(1 - first)) * cos(2 * .pi * second)
    }
}
