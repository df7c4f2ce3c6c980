import Quant
import TinyFormats
import TinySupport

extension NativeModelFile {
    /// An int8 matrix by its name in the file, without ".weight".
    func matrix(_ name: String) throws -> Matrix {
        guard case .int8(let matrix, _) = try tensor(TensorID(named: name)) else { throw noSuchTensor(name) }
        return matrix
    }

    /// A matrix of 4-bit weights likewise; nil if it is none.
    func fourBitMatrix(_ name: String) -> FourBitMatrix? {
        guard case .fourBit(let matrix)? = try? tensor(TensorID(named: name)) else { return nil }
        return matrix
    }

    /// A vector or table by its full name.
    func vector(_ name: String) throws -> UnsafeBufferPointer<Float> { try floats(TensorID(named: name)) }

    private func noSuchTensor(_ name: String) -> FormatError {
        FormatError(.missing, path: path, item: name, "not an int8 matrix")
    }
}

extension TensorID {
    /// "blk.3.attn_q", "output_norm.weight", "blk.0.attn_q.bias", ...
    fileprivate init(named name: String) {
        var parts = name.split(separator: ".").map(String.init)
        let layer = parts.first == "blk" ? Int(parts[1]) : nil
        if layer != nil { parts.removeFirst(2) }
        self.init(TensorRole(rawValue: parts[0])!, layer, isBias: parts.last == "bias")
    }
}
