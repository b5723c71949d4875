// What a row of numbers means, and what the operations make of it: forms of a rotation, and programs over their rows.

enum Form { QUAT, MATRIX, ROTVEC, ROT6D, EULER };  // in the order of _core/rotations.py

__host__ __device__ constexpr int width_of(int form) {
    return form == QUAT ? 4 : form == MATRIX ? 9 : form == ROT6D ? 6 : 3;
}

template <class A> __device__ __forceinline__ Quat<A> read_quat(const Settings& s, const A* x) {
    return s.wxyz ? Quat<A>{x[1], x[2], x[3], x[0]} : Quat<A>{x[0], x[1], x[2], x[3]};
}
template <class A> __device__ __forceinline__ void write_quat(const Settings& s, const Quat<A>& q, A* y) {
    y[0] = s.wxyz ? q.w : q.x;
    y[1] = s.wxyz ? q.x : q.y;
    y[2] = s.wxyz ? q.y : q.z;
    y[3] = s.wxyz ? q.z : q.w;
}

// The turns of Euler angles lie along two or three axes of the frame; which ones is known at run time only.
template <class A> __device__ __forceinline__ A chosen(int axis, A x, A y, A z) {
    return axis == 0 ? x : axis == 1 ? y : z;
}
template <class A> __device__ __forceinline__ Quat<A> quat_of_euler(const Settings& s, const A* x) {
    A sa, ca, sb, cb, sc, cc;
    turn_of((s.intrinsic ? x[2] : x[0]) * (A)0.5, &sa, &ca);
    turn_of(x[1] * (A)0.5, &sb, &cb);
    turn_of((s.intrinsic ? x[0] : x[2]) * (A)0.5, &sc, &cc);
    const A sign = (A)s.sign;
    A first, second, other, w;
    if (s.symmetric) {
        first = cb * (cc * sa + sc * ca);
        second = sb * (cc * ca + sc * sa);
        other = sign * sb * (sc * ca - cc * sa);
        w = cb * (cc * ca - sc * sa);
    } else {
        first = cc * cb * sa - sign * sc * sb * ca;
        second = cc * sb * ca + sign * sc * cb * sa;
        other = sc * cb * ca - sign * cc * sb * sa;
        w = cc * cb * ca + sign * sc * sb * sa;
    }
    const int first_of_x = s.first == 0    ? 0
                           : s.second == 0 ? 1
                                           : 2,
              first_of_y = s.first == 1    ? 0
                           : s.second == 1 ? 1
                                           : 2,
              first_of_z = 3 - first_of_x - first_of_y;
    return {chosen(first_of_x, first, second, other), chosen(first_of_y, first, second, other),
            chosen(first_of_z, first, second, other), w};
}

template <class A> __device__ __forceinline__ A wrapped(A angle) {
    constexpr A pi = Limits<A>::pi;
    return angle > pi ? angle - 2 * pi : angle < -pi ? angle + 2 * pi : angle;
}

// From half the sum and half the difference of the outer angles, after Bernardes and Viollet (PLoS ONE 17(11), 2022).
template <class A> __device__ __forceinline__ void euler_of(const Settings& s, const Quat<A>& q, A* y) {
    constexpr A pi = Limits<A>::pi, lock = Limits<A>::lock;
    A a = q.w, b = chosen(s.first, q.x, q.y, q.z), c = chosen(s.second, q.x, q.y, q.z);
    A d = (A)s.sign * chosen(s.other, q.x, q.y, q.z);
    if (!s.symmetric) {
        const A w = a, first = b, second = c, other = d;
        a = w - second;
        b = first + other;
        c = second + w;
        d = other - first;
    }
    const A sum = bearing(b, a), difference = bearing(d, c);
    const A half = bearing(root(c * c + d * d), root(a * a + b * b));
    A middle = half + half, left = sum - difference, right = sum + difference;
    const bool low = middle <= lock, high = pi - middle <= lock;
    if (s.intrinsic) {
        const A swap = left;
        left = right;
        right = swap;
    }
    if (low || high) {  // gimbal lock: only the sum or the difference is known, so the third angle of the caller is 0
        left = low ? sum + sum : s.intrinsic ? difference + difference : -(difference + difference);
        right = 0;
    }
    if (!s.symmetric) {
        if (s.intrinsic) left *= (A)s.sign;
        else right *= (A)s.sign;
        middle -= pi / 2;
    }
    y[0] = wrapped(left);
    y[1] = middle;
    y[2] = wrapped(right);
}

// A form to another by way of a quaternion or of a matrix, whichever is at hand.
template <int from, int to> struct Convert {
    static constexpr int first = width_of(from), second = 0, third = 0, result = width_of(to);
    template <class A>
    static __device__ __forceinline__ void run(const Settings& s, const A* x, const A*, A, A* y) {
        Quat<A> q;
        Matrix<A> m;
        if constexpr (from == QUAT) q = normalised(read_quat(s, x));
        else if constexpr (from == ROTVEC) q = quat_of_rotvec(Vec<A>{x[0], x[1], x[2]});
        else if constexpr (from == EULER) q = quat_of_euler(s, x);
        else if constexpr (from == MATRIX)
            for (int i = 0; i < 9; ++i) m.at[i] = x[i];
        else {
            m = spanned(Vec<A>{x[0], x[1], x[2]}, Vec<A>{x[3], x[4], x[5]});
            if (s.columns) m = transposed(m);
        }
        constexpr bool matrices = from == MATRIX || from == ROT6D;
        if constexpr (to == MATRIX || to == ROT6D) {
            if constexpr (!matrices) m = matrix_of(q);
            for (int i = 0; i < result; ++i) y[i] = m.at[i];
            if (to == ROT6D && s.columns) {
                const Matrix<A> t = transposed(m);
                for (int i = 0; i < result; ++i) y[i] = t.at[i];
            }
        } else {
            if constexpr (matrices) q = quat_of(m);
            if constexpr (to == QUAT) write_quat(s, canonical(q), y);
            else if constexpr (to == ROTVEC) {
                const Vec<A> v = rotvec_of(q);
                y[0] = v.x, y[1] = v.y, y[2] = v.z;
            } else euler_of(s, q, y);
        }
    }
    template <class A> static __device__ __forceinline__ Matrix<A> transposed(const Matrix<A>& m) {
        return {{m.at[0], m.at[3], m.at[6], m.at[1], m.at[4], m.at[7], m.at[2], m.at[5], m.at[8]}};
    }
};

struct Canonical {
    static constexpr int first = 4, second = 0, third = 0, result = 4;
    template <class A>
    static __device__ __forceinline__ void run(const Settings& s, const A* x, const A*, A, A* y) {
        write_quat(s, canonical(read_quat(s, x)), y);
    }
};

struct Invert {
    static constexpr int first = 4, second = 0, third = 0, result = 4;
    template <class A>
    static __device__ __forceinline__ void run(const Settings& s, const A* x, const A*, A, A* y) {
        write_quat(s, inverse(normalised(read_quat(s, x))), y);
    }
};

struct Multiply {
    static constexpr int first = 4, second = 4, third = 0, result = 4;
    template <class A>
    static __device__ __forceinline__ void run(const Settings& s, const A* a, const A* b, A, A* y) {
        write_quat(s, product(normalised(read_quat(s, a)), normalised(read_quat(s, b))), y);
    }
};

struct Slerp {
    static constexpr int first = 4, second = 4, third = 1, result = 4;
    template <class A>
    static __device__ __forceinline__ void run(const Settings& s, const A* a, const A* b, A weight, A* y) {
        write_quat(s, slerp(normalised(read_quat(s, a)), normalised(read_quat(s, b)), weight), y);
    }
};

// Poses: a position and then a quaternion.
struct Compose {
    static constexpr int first = 7, second = 7, third = 0, result = 7;
    template <class A>
    static __device__ __forceinline__ void run(const Settings& s, const A* a, const A* b, A, A* y) {
        const Quat<A> q = normalised(read_quat(s, a + 3));
        const Vec<A> v = turned(q, Vec<A>{b[0], b[1], b[2]});
        y[0] = a[0] + v.x, y[1] = a[1] + v.y, y[2] = a[2] + v.z;
        write_quat(s, product(q, normalised(read_quat(s, b + 3))), y + 3);
    }
};

struct Relative {
    static constexpr int first = 7, second = 7, third = 0, result = 7;
    template <class A>
    static __device__ __forceinline__ void run(const Settings& s, const A* a, const A* base, A, A* y) {
        const Quat<A> q = inverse(normalised(read_quat(s, base + 3)));
        const Vec<A> v = turned(q, Vec<A>{a[0] - base[0], a[1] - base[1], a[2] - base[2]});
        y[0] = v.x, y[1] = v.y, y[2] = v.z;
        write_quat(s, product(q, normalised(read_quat(s, a + 3))), y + 3);
    }
};
