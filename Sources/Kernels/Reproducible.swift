import CKernels

/// Elementary functions whose f64 results have the same bits on every machine, unlike those of the system's libm.
/// Schedules, initialisation and generated data use these only. Errors are below 2 ulp; results below 2⁻¹⁰²² are 0.
public enum Reproducible {
    /// e^x; 0 where that is below 2⁻¹⁰²², infinity where it is above the largest number, NaN of NaN.
    public static func exp(_ x: Double) -> Double { tk_exp(x) }

    /// The natural logarithm; NaN below 0, −∞ at 0.
    public static func log(_ x: Double) -> Double { tk_log(x) }

    /// NaN for |x| > 2¹⁹.
    public static func cos(_ x: Double) -> Double { tk_cos(x) }

    /// NaN for |x| > 2¹⁹.
    public static func sin(_ x: Double) -> Double { tk_sin(x) }

    /// The IEEE square root, which is exact everywhere.
    public static func sqrt(_ x: Double) -> Double { x.squareRoot() }
}
