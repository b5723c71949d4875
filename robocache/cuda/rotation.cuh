// Arithmetic of rotations in the type A of the accumulator. A quaternion is x, y, z, w; a matrix nine numbers, row by row.
// The CPU twin is cpu/_rotation.py: equal formulas in equal order.

template <class A> struct Quat { A x, y, z, w; };
template <class A> struct Vec { A x, y, z; };
template <class A> struct Matrix { A at[9]; };

struct Settings {  // mirrored in _core/rotations.py
    int wxyz, columns;
    int first, second, other, sign, symmetric, intrinsic;  // of Euler angles
};

template <class A> struct Limits;
template <> struct Limits<float> {
    // Squared sizes whose parts neither overflow nor lose digits, and powers of two that bring others there.
    static constexpr float low = 0x1p-60f, high = 0x1p100f, up = 0x1p90f, down = 0x1p-70f;
    static constexpr float tiny = 1e-4f;  // angle below which an arc is a line
    static constexpr float lock = 2e-6f;  // distance of the middle Euler angle from gimbal lock
    static constexpr float parallel = 9e-13f;  // squared sine of directions too close to span a plane: 8 eps
    static constexpr float pi = 3.14159274f;
};
template <> struct Limits<double> {
    static constexpr double low = 0x1p-500, high = 0x1p800, up = 0x1p700, down = 0x1p-600;
    static constexpr double tiny = 1e-8;
    static constexpr double lock = 1e-7;
    static constexpr double parallel = 3.2e-30;
    static constexpr double pi = 3.141592653589793;
};

template <class A> __device__ __forceinline__ A nothing() { return (A)__uint_as_float(0x7fc00000u); }
template <class A> __device__ __forceinline__ bool ordinary(A size) {  // above zero and finite
    return size > 0 && size <= (sizeof(A) == 4 ? (A)3.402823466e38f : (A)1.7976931348623157e308);
}

__device__ __forceinline__ void turn_of(float x, float* s, float* c) { sincosf(x, s, c); }
__device__ __forceinline__ void turn_of(double x, double* s, double* c) { sincos(x, s, c); }
__device__ __forceinline__ float sine(float x) { return sinf(x); }
__device__ __forceinline__ double sine(double x) { return sin(x); }
__device__ __forceinline__ float bearing(float y, float x) { return atan2f(y, x); }
__device__ __forceinline__ double bearing(double y, double x) { return atan2(y, x); }
__device__ __forceinline__ float root(float x) { return sqrtf(x); }
__device__ __forceinline__ double root(double x) { return sqrt(x); }

template <class A> __device__ __forceinline__ A squared(const Quat<A>& q) {
    return q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w;
}
template <class A> __device__ __forceinline__ Quat<A> scaled(const Quat<A>& q, A by) {
    return {q.x * by, q.y * by, q.z * by, q.w * by};
}

// Of length one; NaN where it has no length, or none that is finite.
template <class A> __device__ __forceinline__ Quat<A> normalised(Quat<A> q) {
    A size = squared(q);
    if (!(size >= Limits<A>::low && size <= Limits<A>::high)) {
        q = scaled(q, size < Limits<A>::low ? Limits<A>::up : Limits<A>::down);
        size = squared(q);
        if (!ordinary(size)) return {nothing<A>(), nothing<A>(), nothing<A>(), nothing<A>()};
    }
    return scaled(q, 1 / root(size));
}
template <class A> __device__ __forceinline__ Vec<A> normalised(const Vec<A>& v) {
    const Quat<A> q = normalised(Quat<A>{v.x, v.y, v.z, 0});
    return {q.x, q.y, q.z};
}

// The one of q and -q whose w is above zero, or x where w is zero, or y where both are, or z.
template <class A> __device__ __forceinline__ Quat<A> canonical(const Quat<A>& q) {
    const bool flip = q.w < 0 || (q.w == 0 && (q.x < 0 || (q.x == 0 && (q.y < 0 || (q.y == 0 && q.z < 0)))));
    const Quat<A> r = flip ? Quat<A>{-q.x, -q.y, -q.z, -q.w} : q;
    return {r.x == 0 ? 0 : r.x, r.y == 0 ? 0 : r.y, r.z == 0 ? 0 : r.z, r.w == 0 ? 0 : r.w};  // no negative zeros
}

template <class A> __device__ __forceinline__ Quat<A> inverse(const Quat<A>& q) { return {-q.x, -q.y, -q.z, q.w}; }

template <class A> __device__ __forceinline__ Quat<A> product(const Quat<A>& a, const Quat<A>& b) {
    return {a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y, a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
            a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w, a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z};
}

template <class A> __device__ __forceinline__ Vec<A> cross(const Vec<A>& a, const Vec<A>& b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
template <class A> __device__ __forceinline__ A dot(const Vec<A>& a, const Vec<A>& b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

// v turned by a unit quaternion.
template <class A> __device__ __forceinline__ Vec<A> turned(const Quat<A>& q, const Vec<A>& v) {
    const Vec<A> u = {q.x, q.y, q.z}, half = cross(u, v), t = {half.x + half.x, half.y + half.y, half.z + half.z};
    const Vec<A> more = cross(u, t);
    return {v.x + q.w * t.x + more.x, v.y + q.w * t.y + more.y, v.z + q.w * t.z + more.z};
}

template <class A> __device__ __forceinline__ Matrix<A> matrix_of(const Quat<A>& q) {
    const A x = q.x + q.x, y = q.y + q.y, z = q.z + q.z;
    const A xx = x * q.x, yy = y * q.y, zz = z * q.z, xy = x * q.y, xz = x * q.z, yz = y * q.z;
    const A wx = x * q.w, wy = y * q.w, wz = z * q.w;
    return {{1 - (yy + zz), xy - wz, xz + wy, xy + wz, 1 - (xx + zz), yz - wx, xz - wy, yz + wx, 1 - (xx + yy)}};
}

// From the largest of x, y, z and w, so that nothing cancels where the trace is near -1.
template <class A> __device__ __forceinline__ Quat<A> quat_of(const Matrix<A>& m) {
    const A a = m.at[0], b = m.at[4], c = m.at[8], trace = a + b + c;
    const A x = m.at[7] - m.at[5], y = m.at[2] - m.at[6], z = m.at[3] - m.at[1];
    const A xy = m.at[3] + m.at[1], xz = m.at[2] + m.at[6], yz = m.at[7] + m.at[5];
    Quat<A> q;
    if (trace >= a && trace >= b && trace >= c) q = {x, y, z, 1 + trace};
    else if (a >= b && a >= c) q = {1 - trace + (a + a), xy, xz, x};
    else if (b >= c) q = {xy, 1 - trace + (b + b), yz, y};
    else q = {xz, yz, 1 - trace + (c + c), z};
    const Vec<A> first = {a, m.at[1], m.at[2]}, second = {m.at[3], b, m.at[5]}, third = {m.at[6], m.at[7], c};
    if (!(dot(first, cross(second, third)) > 0)) q.w = nothing<A>();  // zeros and reflections are no rotations
    return normalised(q);
}

template <class A> __device__ __forceinline__ Quat<A> quat_of_rotvec(const Vec<A>& v) {
    const A angle = root(v.x * v.x + v.y * v.y + v.z * v.z);
    A s, c;
    turn_of(angle * (A)0.5, &s, &c);
    const A by = angle == 0 ? (A)0.5 : s / angle;
    return {v.x * by, v.y * by, v.z * by, c};
}
template <class A> __device__ __forceinline__ Vec<A> rotvec_of(const Quat<A>& unit) {
    const Quat<A> q = canonical(unit);
    const A size = root(q.x * q.x + q.y * q.y + q.z * q.z), angle = bearing(size, q.w);
    const A by = size > 0 ? (angle + angle) / size : 2;
    return {q.x * by, q.y * by, q.z * by};
}

// Gram-Schmidt, the second vector twice: once would leave it askew where the two are nearly parallel. Rows of the answer
// are the two and their cross product.
template <class A> __device__ __forceinline__ Matrix<A> spanned(const Vec<A>& first, const Vec<A>& second) {
    Vec<A> a = normalised(first), b = normalised(second);
    for (int again = 0; again < 2; ++again) {
        const A along = dot(a, b);
        b = {b.x - along * a.x, b.y - along * a.y, b.z - along * a.z};
        const A size = dot(b, b), by = size > Limits<A>::parallel ? 1 / root(size) : nothing<A>();
        b = {b.x * by, b.y * by, b.z * by};
    }
    if (b.x != b.x) a = b;
    const Vec<A> c = cross(a, b);
    return {{a.x, a.y, a.z, b.x, b.y, b.z, c.x, c.y, c.z}};
}

// From a to b, both of length one, the shorter way, at a steady rate.
template <class A> __device__ __forceinline__ Quat<A> slerp(const Quat<A>& a, Quat<A> b, A weight) {
    if (a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w < 0) b = {-b.x, -b.y, -b.z, -b.w};
    const Quat<A> less = {b.x - a.x, b.y - a.y, b.z - a.z, b.w - a.w};
    const Quat<A> more = {b.x + a.x, b.y + a.y, b.z + a.z, b.w + a.w};
    const A half = bearing(root(squared(less)), root(squared(more))), angle = half + half;
    A u = 1 - weight, v = weight;
    if (angle > Limits<A>::tiny) {
        const A by = 1 / sine(angle);
        u = sine(u * angle) * by;
        v = sine(v * angle) * by;
    }
    const Quat<A> q = {u * a.x + v * b.x, u * a.y + v * b.y, u * a.z + v * b.z, u * a.w + v * b.w};
    return scaled(q, 1 / root(squared(q)));
}
