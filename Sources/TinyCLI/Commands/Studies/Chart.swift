// SPDX-License-Identifier: Apache-2.0

import TinyPlatform
import TinySupport

/// Charts as one self-contained SVG, in the color scheme of the reader: light or dark.
struct Chart {
    struct Series {
        var name: String
        var points: [(x: Double, y: Double)]
    }

    /// One panel.
    enum Panel {
        case bars(String, labels: [String], values: [Double], unit: String)
        /// `isLog`: y on a logarithmic axis.
        case lines(String, x: String, y: String, series: [Series], isLog: Bool = false)
    }

    let title: String
    let subtitle: String
    private var panels: [Panel] = []

    private static let width = 560.0, height = 280.0, margin = 44.0

    init(title: String, subtitle: String) {
        self.title = title
        self.subtitle = subtitle
    }

    mutating func add(_ panel: Panel) { panels.append(panel) }

    /// The content of a file of that name: SVG, or HTML around it.
    func document(for path: String) -> String {
        guard path.hasSuffix(".html") else { return svg }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(Self.escape(title))</title>
            <style>:root { color-scheme: light dark } body { margin: 0 } svg { width: 100%; height: auto }</style>
            </head><body>
            \(svg)
            </body></html>

            """
    }

    private var svg: String {
        let rows = (panels.count + 1) / 2
        let (width, height) = (2 * Self.width, 70 + Double(rows) * Self.height)
        var body = ""
        for (index, panel) in panels.enumerated() {
            let x = Double(index % 2) * Self.width, y = 70 + Double(index / 2) * Self.height
            body += "<g transform=\"translate(\(Self.n(x)) \(Self.n(y)))\">\n" + draw(panel) + "</g>\n"
        }
        let colors = (0..<12).map { i in
            ".s\(i){stroke:hsl(\(i * 137 % 360) 62% 45%)}.f\(i){fill:hsl(\(i * 137 % 360) 62% 45%)}"
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.n(width)) \(Self.n(height))" font-family="system-ui, sans-serif" font-size="11">
            <style>
            .back{fill:#fff}.text{fill:#222}.faint{fill:#777}.axis{stroke:#999;stroke-width:1}.grid{stroke:#ddd;stroke-width:.5}
            .bar{fill:#3b78c3}.line{fill:none;stroke-width:1.6}
            \(colors.joined())
            @media (prefers-color-scheme: dark){.back{fill:#16181c}.text{fill:#e6e6e6}.faint{fill:#999}.axis{stroke:#777}.grid{stroke:#333}.bar{fill:#6ea3e8}}
            </style>
            <rect class="back" width="100%" height="100%"/>
            <text class="text" x="\(Self.n(Self.margin))" y="30" font-size="18">\(Self.escape(title))</text>
            <text class="faint" x="\(Self.n(Self.margin))" y="50">\(Self.escape(subtitle))</text>
            \(body)</svg>

            """
    }

    private func draw(_ panel: Panel) -> String {
        switch panel {
        case .bars(let title, let labels, let values, let unit):
            let plot = Plot(x: (0, Double(max(values.count, 1))), y: (0, max(values.max() ?? 1, 1e-9) * 1.05))
            var text = plot.frame(title, x: "", y: unit)
            let every = max(labels.count / 16, 1)
            for (i, value) in values.enumerated() {
                let (left, right) = (plot.px(Double(i) + 0.12), plot.px(Double(i) + 0.88))
                let top = plot.py(value)
                text +=
                    "<rect class=\"bar\" x=\"\(Self.n(left))\" y=\"\(Self.n(top))\" width=\"\(Self.n(right - left))\" "
                    + "height=\"\(Self.n(plot.py(0) - top))\"><title>\(Self.escape(labels[i])): \(fixed(value, 2))</title></rect>\n"
                guard i % every == 0 else { continue }
                text +=
                    "<text class=\"faint\" text-anchor=\"middle\" x=\"\(Self.n((left + right) / 2))\" "
                    + "y=\"\(Self.n(plot.py(0) + 14))\">\(Self.escape(labels[i]))</text>\n"
            }
            return text
        case .lines(let title, let xName, let yName, let series, let isLog):
            func scaled(_ y: Double) -> Double { isLog ? log10(max(y, 1e-6)) : y }
            let points = series.flatMap { $0.points }.filter { $0.x.isFinite && $0.y.isFinite }
            let xs = points.map { $0.x }, ys = points.map { scaled($0.y) }
            let low = isLog ? ys.min() ?? 0 : min(ys.min() ?? 0, 0), high = ys.max() ?? 1
            let plot = Plot(
                x: (min(xs.min() ?? 0, 0), xs.max() ?? 1), y: (low, high > low ? high + (high - low) * 0.05 : low + 1))
            var text = plot.frame(title, x: xName, y: yName, isLog: isLog)
            for (i, one) in series.enumerated() {
                let path = one.points.filter { $0.x.isFinite && $0.y.isFinite }
                    .map { "\(Self.n(plot.px($0.x))),\(Self.n(plot.py(scaled($0.y))))" }
                text += "<polyline class=\"line s\(i % 12)\" points=\"\(path.joined(separator: " "))\"/>\n"
                let y = 34 + Double(i) * 13
                guard y < Self.height - 60 else { continue }
                text +=
                    "<text class=\"f\(i % 12)\" text-anchor=\"end\" x=\"\(Self.n(Self.width - 24))\" y=\"\(Self.n(y))\">"
                    + "\(Self.escape(one.name))</text>\n"
            }
            return text
        }
    }

    /// The axes of a panel.
    private struct Plot {
        let x, y: (low: Double, high: Double)

        func px(_ value: Double) -> Double {
            Chart.margin + (value - x.low) / max(x.high - x.low, 1e-12) * (Chart.width - Chart.margin - 20)
        }

        func py(_ value: Double) -> Double {
            Chart.height - 40 - (value - y.low) / max(y.high - y.low, 1e-12) * (Chart.height - 68)
        }

        func frame(_ title: String, x xName: String, y yName: String, isLog: Bool = false) -> String {
            let (left, right, bottom) = (Chart.n(px(x.low)), Chart.n(px(x.high)), py(y.low))
            var text = "<text class=\"text\" x=\"\(left)\" y=\"14\" font-size=\"12\">\(Chart.escape(title))</text>\n"
            for i in 0...4 {
                let value = y.low + (y.high - y.low) * Double(i) / 4
                let level = Chart.n(py(value))
                let shown = isLog ? pow(10, value) : value
                text +=
                    "<line class=\"grid\" x1=\"\(left)\" x2=\"\(right)\" y1=\"\(level)\" y2=\"\(level)\"/>\n"
                    + "<text class=\"faint\" text-anchor=\"end\" x=\"\(Chart.n(Chart.margin - 4))\" y=\"\(Chart.n(py(value) + 4))\">"
                    + "\(Chart.short(shown))</text>\n"
                guard !xName.isEmpty else { continue }
                let along = x.low + (x.high - x.low) * Double(i) / 4
                text +=
                    "<text class=\"faint\" text-anchor=\"middle\" x=\"\(Chart.n(px(along)))\" y=\"\(Chart.n(bottom + 14))\">"
                    + "\(Chart.short(along))</text>\n"
            }
            text +=
                "<line class=\"axis\" x1=\"\(left)\" x2=\"\(right)\" y1=\"\(Chart.n(bottom))\" y2=\"\(Chart.n(bottom))\"/>\n"
            text +=
                "<text class=\"faint\" text-anchor=\"end\" x=\"\(right)\" y=\"\(Chart.n(bottom + 28))\">\(Chart.escape(xName))</text>\n"
            return text + "<text class=\"faint\" x=\"\(left)\" y=\"26\">\(Chart.escape(yName))</text>\n"
        }
    }

    // MARK: Text

    private static func n(_ value: Double) -> String { fixed(value, 1) }

    /// A number on an axis.
    private static func short(_ value: Double) -> String {
        abs(value) >= 100 || value == value.rounded() ? fixed(value, 0) : fixed(value, abs(value) < 1 ? 3 : 1)
    }

    private static func escape(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
    }
}

extension Arguments {
    /// The file for charts, or nil if the option was not given.
    func chartFile(_ name: String) throws(Failure) -> String? {
        guard let path = string(name) else { return nil }
        guard path.hasSuffix(".svg") || path.hasSuffix(".html") else {
            throw invalid(name, "a name ending in .svg or .html")
        }
        return path
    }
}
