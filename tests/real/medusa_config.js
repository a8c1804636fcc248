const { defineConfig } = require('@medusajs/framework/utils')
module.exports = defineConfig({
    admin: { disable: true },
    projectConfig: {
        databaseUrl: 'postgres://postgres@127.0.0.1:@PG@/medusa',
        databaseDriverOptions: { connection: { ssl: false } },
        http: { storeCors: '*', adminCors: '*', authCors: '*', jwtSecret: 's', cookieSecret: 's' },
    },
})
