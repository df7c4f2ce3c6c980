// SPDX-License-Identifier: Apache-2.0

import TinyRuntime

/// Dense linear algebra for training: small, plain, fast enough. Rows are padded to multiples of 16 floats.
package enum MatrixMath {
    typealias Lanes = SIMD16<Float>
    package typealias Floats = UnsafeMutablePointer<Float>

    /// `out[i][j] = sum over k of x[i * rowStep + k * stepK] * m[k][j]`, or added to what is there.
    ///
    /// Sixteen columns and two rows at a time stay in registers; the loop over k is innermost.
    /// - Parameters:
    ///   - columns: a multiple of 16.
    ///   - stride: floats from a row of `m` to the next; `outStride`: the same of `out`.
    static func multiply(
        rows: Int, columns: Int, depth: Int, _ x: Floats, rowStep: Int, stepK: Int, _ m: Floats, stride: Int,
        into out: Floats, outStride: Int, adding: Bool = false
    ) {
        for column in Swift.stride(from: 0, to: columns, by: 16) {
            let panel = UnsafeRawPointer(m + column)
            var row = 0
            while row < rows {
                let isPair = row + 1 < rows
                var x0 = x + row * rowStep
                var x1 = isPair ? x0 + rowStep : x0
                var a = Lanes.zero, b = Lanes.zero
                var p = panel
                for _ in 0..<depth {
                    let v = p.loadUnaligned(as: Lanes.self)
                    a += v * x0.pointee
                    b += v * x1.pointee
                    x0 += stepK
                    x1 += stepK
                    p += 4 &* stride
                }
                store(a, out + row * outStride + column, adding)
                if isPair { store(b, out + (row + 1) * outStride + column, adding) }
                row += 2
            }
        }
    }

    @inline(__always)
    private static func store(_ v: Lanes, _ out: Floats, _ adding: Bool) {
        let raw = UnsafeMutableRawPointer(out)
        raw.storeBytes(of: adding ? raw.loadUnaligned(as: Lanes.self) + v : v, as: Lanes.self)
    }

    /// 1 / (1 + exp(-x)), to about 1e-6.
    @inline(__always)
    static func sigmoid(_ x: Lanes) -> Lanes {
        var y = -x
        y.replace(with: Lanes(repeating: 80), where: y .> 80)
        y.replace(with: Lanes(repeating: -80), where: y .< -80)
        let magic: Float = 12_582_912
        let shifted = y * 1.44269504 + magic
        let r = y - (shifted - magic) * 0.69314718
        var p = Lanes(repeating: 1.0 / 120)
        p = p * r + 1.0 / 24
        p = p * r + 1.0 / 6
        p = p * r + 0.5
        p = p * r + 1
        p = p * r + 1
        let bits = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &+ (127 &- 0x4B40_0000 as UInt32)
        let power = unsafeBitCast(bits &<< 23, to: Lanes.self)
        return 1 / (1 + p * power)
    }

    /// Replaces the lower triangle of a symmetric `[n, n]` by L with L L^T = it. The upper one stays.
    ///
    /// The matrix is positive semidefinite plus `ridge` on the diagonal, but for rounding: where that left a pivot far below
    /// the ridge, as it does if few samples vary in few directions, ten times as much is added, and so on.
    package static func cholesky(_ c: Floats, _ n: Int, stride: Int, ridge: Float) {
        let diagonal = (0..<n).map { c[$0 * stride + $0] }
        var added = ridge
        while !factorize(c, n, stride: stride, least: added / 2), added < 1e6 * ridge {
            added *= 10
            for i in 0..<n {
                for j in 0..<i { c[i * stride + j] = c[j * stride + i] }
                c[i * stride + i] = diagonal[i] + (added - ridge)
            }
        }
    }

    /// - Returns: whether no pivot was less than `least`.
    private static func factorize(_ c: Floats, _ n: Int, stride: Int, least: Float) -> Bool {
        for j in 0..<n {
            let row = c + j * stride
            var diagonal = row[j]
            for k in 0..<j { diagonal -= row[k] * row[k] }
            if diagonal < least { return false }
            let root = diagonal.squareRoot()
            row[j] = root
            for i in j + 1..<max(n, j + 1) {
                let other = c + i * stride
                other[j] = (other[j] - dot(other, row, j)) / root
            }
        }
        return true
    }

    /// Solves L y = x in place.
    static func solveLower(_ l: Floats, _ n: Int, stride: Int, _ x: Floats) {
        for i in 0..<n { x[i] = (x[i] - dot(l + i * stride, x, i)) / l[i * stride + i] }
    }

    /// Solves L^T y = x in place.
    static func solveUpper(_ l: Floats, _ n: Int, stride: Int, _ x: Floats) {
        for i in Swift.stride(from: n - 1, through: 0, by: -1) {
            x[i] /= l[i * stride + i]
            let row = l + i * stride, value = x[i]
            for k in 0..<i { x[k] -= row[k] * value }
        }
    }

    /// Orthonormal rows by the modified Gram-Schmidt method, twice for accuracy.
    static func orthonormalize(_ q: Floats, rows: Int, columns: Int, stride: Int) {
        for i in 0..<rows {
            let row = q + i * stride
            for _ in 0..<2 {
                for j in 0..<i {
                    let other = q + j * stride
                    let share = dot(row, other, columns)
                    for k in 0..<columns { row[k] -= share * other[k] }
                }
            }
            let norm = dot(row, row, columns).squareRoot()
            let scale = norm > 1e-20 ? 1 / norm : 0
            for k in 0..<columns { row[k] *= scale }
        }
    }

    /// `[rank, n]` orthonormal rows that span the leading eigenvectors of a symmetric `[n, n]` matrix, by subspace
    /// iteration: 24 * rank * n^2 operations.
    static func leading(_ rank: Int, of matrix: FloatMatrix, seed: UInt64) throws(RuntimeError) -> FloatMatrix {
        let n = matrix.rows
        var random = SplitMix64(state: seed)
        var q = try FloatMatrix(rank, n), next = try FloatMatrix(rank, n)
        for r in 0..<rank {
            for j in 0..<n { q[r][j] = Float.random(in: -1...1, using: &random) }
        }
        for _ in 0..<24 {
            orthonormalize(q.pointer, rows: rank, columns: n, stride: q.stride)
            multiply(
                rows: rank, columns: matrix.padded, depth: n, q.pointer, rowStep: q.stride, stepK: 1, matrix.pointer,
                stride: matrix.stride, into: next.pointer, outStride: next.stride)
            swap(&q, &next)
        }
        orthonormalize(q.pointer, rows: rank, columns: n, stride: q.stride)
        return q
    }

    static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var sum = Lanes.zero
        var i = 0
        while i + 16 <= count {
            sum +=
                UnsafeRawPointer(a + i).loadUnaligned(as: Lanes.self)
                * UnsafeRawPointer(b + i).loadUnaligned(as: Lanes.self)
            i += 16
        }
        var rest = sum.sum()
        while i < count {
            rest += a[i] * b[i]
            i += 1
        }
        return rest
    }
}

/// A `[rows, columns]` matrix of floats, rows padded so that neighbors in a column lie in unlike cache sets.
final class FloatMatrix {
    let rows: Int
    let columns: Int
    let stride: Int
    let pointer: UnsafeMutablePointer<Float>
    private let buffer: AlignedBuffer<Float>

    init(_ rows: Int, _ columns: Int) throws(RuntimeError) {
        self.rows = rows
        self.columns = columns
        stride = (columns + 15) / 16 * 16 + 16
        buffer = try AlignedBuffer(max(rows, 1) * stride)
        pointer = buffer.pointer
    }

    /// Columns rounded up to whole vectors.
    var padded: Int { stride - 16 }

    subscript(_ row: Int) -> UnsafeMutablePointer<Float> { pointer + row * stride }

    func clear() { pointer.update(repeating: 0, count: rows * stride) }
}
