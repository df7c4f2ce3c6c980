// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

/// The time that a template gets from `strftime_now`. The caller passes it, so that a rendering depends on its inputs only.
public struct TemplateTime: Sendable, Equatable {
    public var year: Int
    /// 1 to 12.
    public var month: Int
    /// 1 to 31.
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int

    /// A local time; the year from 1000 to 9999.
    public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = min(max(year, 1000), 9999)
        self.month = min(max(month, 1), 12)
        self.day = min(max(day, 1), 31)
        self.hour = min(max(hour, 0), 23)
        self.minute = min(max(minute, 0), 59)
        self.second = min(max(second, 0), 60)
    }

    /// The local time of this machine at this moment.
    public static var now: TemplateTime {
        var seconds = time(nil)
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return TemplateTime(year: 1970, month: 1, day: 1) }
        return TemplateTime(
            year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday),
            hour: Int(parts.tm_hour), minute: Int(parts.tm_min), second: Int(parts.tm_sec))
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// 0 for Sunday (Sakamoto's method).
    private var weekday: Int {
        let year = month < 3 ? year - 1 : year
        let offsets = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]
        return (year + year / 4 - year / 100 + year / 400 + offsets[month - 1] + day) % 7
    }

    private var dayOfYear: Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return lengths[..<(month - 1)].reduce(day, +)
    }

    private func padded(_ number: Int, to width: Int = 2, with fill: Character = "0") -> String {
        let digits = "\(number)"
        return String(repeating: fill, count: max(width - digits.utf8.count, 0)) + digits
    }

    /// What `strftime` puts in the place of a letter after "%", in the locale "C"; nil for letters that are not supported.
    fileprivate func text(_ letter: UInt32) -> String? {
        let hour12 = hour % 12 == 0 ? 12 : hour % 12
        return switch UInt8(truncatingIfNeeded: letter) {
        case UInt8(ascii: "Y"): "\(year)"
        case UInt8(ascii: "y"): padded(year % 100)
        case UInt8(ascii: "m"): padded(month)
        case UInt8(ascii: "d"): padded(day)
        case UInt8(ascii: "e"): padded(day, with: " ")
        case UInt8(ascii: "H"): padded(hour)
        case UInt8(ascii: "I"): padded(hour12)
        case UInt8(ascii: "M"): padded(minute)
        case UInt8(ascii: "S"): padded(second)
        case UInt8(ascii: "j"): padded(dayOfYear, to: 3)
        case UInt8(ascii: "p"): hour < 12 ? "AM" : "PM"
        case UInt8(ascii: "B"): Self.months[month - 1]
        case UInt8(ascii: "b"), UInt8(ascii: "h"): String(Self.months[month - 1].prefix(3))
        case UInt8(ascii: "A"): Self.days[weekday]
        case UInt8(ascii: "a"): String(Self.days[weekday].prefix(3))
        case UInt8(ascii: "u"): "\(weekday == 0 ? 7 : weekday)"
        case UInt8(ascii: "w"): "\(weekday)"
        case UInt8(ascii: "F"): "\(year)-\(padded(month))-\(padded(day))"
        case UInt8(ascii: "T"): "\(padded(hour)):\(padded(minute)):\(padded(second))"
        case UInt8(ascii: "R"): "\(padded(hour)):\(padded(minute))"
        case UInt8(ascii: "D"), UInt8(ascii: "x"): "\(padded(month))/\(padded(day))/\(padded(year % 100))"
        case UInt8(ascii: "%"): "%"
        default: nil
        }
    }
}

extension Interpreter {
    /// The time as `strftime` writes it; "%-d" is "%d" without zeros before it.
    func formattedTime(_ format: Text) throws(TemplateError) -> [Scalar] {
        try expanded(format) { (position, out) throws(TemplateError) in
            let isBare = position < format.count && format.scalars[position].code == 0x2D
            if isBare { position += 1 }
            guard position < format.count, format.scalars[position].code < 0x80,
                var text = time.text(format.scalars[position].code)
            else { throw fail(.unsupported, "strftime_now: the format \(format.string)") }
            position += 1
            if isBare { while text.utf8.count > 1, text.hasPrefix("0") || text.hasPrefix(" ") { text.removeFirst() } }
            out += text
        }
    }
}
